#!/usr/bin/env python3
"""All tables of one schema of a destination, as hard.py wants them: {"TABLE": [{"COLUMN": value}]}, read without any code of ours.
  look.py sqlite FILE SCHEMA        look.py postgres SCHEMA (PG* in the environment; also what lies behind the Redshift double)
  look.py snowflake PORT SCHEMA (in database DWH; by the Python that has the connector)        look.py s3 FOLDER (a bucket on disk, below the source's name)"""
import datetime, glob, json, os, sqlite3, subprocess, sys


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


def snowflake(port, schema):
    import snowflake.connector

    con = snowflake.connector.connect(user="reader", password="any", account="stitch", host="127.0.0.1", port=int(port), protocol="http",
                                      session_parameters={"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False})

    def ask(sql):
        cur = con.cursor()
        rows = cur.execute(sql).fetchall()
        return [dict(zip([d[0] for d in cur.description], r)) for r in rows]

    out = {}
    for row in ask("SELECT table_name AS N FROM \"DWH\".information_schema.tables WHERE table_schema = '%s'" % schema):
        name = list(row.values())[0]
        rows = ask('SELECT * FROM "DWH"."%s"."%s"' % (schema, name))
        # the stand-in shows a moment that is NULL as 1970
        nulls = ask("SELECT %s FROM \"DWH\".\"%s\".\"%s\"" % (", ".join('"%s" IS NULL AS "%s"' % (c, c) for c in rows[0]), schema, name)) if rows else []
        out[name] = [{c: None if n[c] else v for c, v in r.items()} for r, n in zip(rows, nulls)]
    # a moment as UTC; a decimal as its text
    return json.dumps(out, default=lambda v: v.astimezone(datetime.timezone.utc).isoformat() if isinstance(v, datetime.datetime) and v.tzinfo else str(v))


def s3(folder):
    parts = {}
    for path in sorted(glob.glob(os.path.join(folder, "*", "*.jsonl"))):
        with open(path) as f:
            parts.setdefault(os.path.basename(os.path.dirname(path)), []).extend(line.strip() for line in f if line.strip())
    return "{" + ",".join(json.dumps(t) + ":[" + ",".join(rows) + "]" for t, rows in parts.items()) + "}"


print({"snowflake": snowflake, "s3": s3, "sqlite": sqlite, "postgres": postgres}[sys.argv[1]](*sys.argv[2:]))
