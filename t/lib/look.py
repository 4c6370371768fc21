#!/usr/bin/env python3
"""All tables of one schema of a destination, as hard.py wants them: {"TABLE": [{"COLUMN": value}]}, read without any code of ours.
  look.py sqlite FILE SCHEMA        look.py postgres SCHEMA (PG* in the environment; also what lies behind the Redshift double)"""
import json, sqlite3, subprocess, sys


def sqlite(path, schema):
    db = sqlite3.connect(path)
    db.row_factory = sqlite3.Row
    out = {}
    for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE ? ESCAPE '\\'", (schema + r"\_\_%",)).fetchall():
        q = '"' + name.replace('"', '""') + '"'
        out[name[len(schema) + 2:]] = [dict(r) for r in db.execute("SELECT * FROM " + q)]
    return json.dumps(out)


def psql(sql):
    return subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql], check=True, capture_output=True, text=True).stdout


def postgres(schema):
    """row_to_json's text goes through as it is: numbers stay exact"""
    parts = []
    for name in psql("SELECT table_name FROM information_schema.tables WHERE table_schema = '%s' ORDER BY 1" % schema).splitlines():
        rows = psql('SELECT row_to_json(t) FROM "%s"."%s" t' % (schema, name.replace('"', '""'))).split("\n")
        parts.append(json.dumps(name) + ":[" + ",".join(r for r in rows if r) + "]")
    return "{" + ",".join(parts) + "}"


print({"sqlite": sqlite, "postgres": postgres}[sys.argv[1]](*sys.argv[2:]))
