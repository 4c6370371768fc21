#!/usr/bin/env python3
"""What PyPI's stitchclient sends, and what must be in a destination after it; and the same for what t/lib/TransitWriter.java writes.

    transit-client.py push URL CLIENT_ID TOKEN_FILE N     with a Python that has stitchclient: N records of mixed types into "mixed", then one in a thousand again
    transit-client.py check (mixed|java) N DB TABLE       each value of each row of a SQLite table
    transit-client.py check (mixed|java) N -              the same, rows as JSON objects on standard input

Exit 0: all is there, once, with these values; 1: what is not is said.
"""
import collections, collections.abc, datetime, json, sqlite3, sys, uuid
from decimal import Decimal

UTC = datetime.timezone.utc
T0 = datetime.datetime(2024, 2, 28, 23, 59, 30, tzinfo=UTC)
ODD = ["~start", "^start", "`start", "~", "^", "^ ", "^0", "~~x", "~#set", "~:kw", "~i5", "", "plain", 'a "quote" and a \\', "line\nend\ttab", "\u0001\u001f", "\u2028"]
UPDATED = 999
MANY = {i: {"key_%04d" % k: k for k in range(2100)} for i in (1500, 12000)}  # more than the cache has places


class Text(str):
    """A string that Transit has a tag for; kind: Keyword or URI."""

    def __new__(cls, kind, text):
        it = super().__new__(cls, text)
        it.kind = kind
        return it


def mixed(i):
    return {
        "id": i,
        "small": i * 7919 % 900 - 500,
        "above_53": 2**53 + i,
        "below_53": -(2**53) - i,
        "huge": 10**30 + i,
        "price": Decimal(i * 7 - 1000).scaleb(-2),
        "exact": Decimal("%d.123456789" % (12345678901234567890 + i)),
        "quarter": i * 0.25 - 7,
        "nan_or_not": (float("nan"), float("inf"), float("-inf"), 1.5)[i % 4],
        "made_at": T0 + datetime.timedelta(milliseconds=i * 977),
        "before": datetime.datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC) - datetime.timedelta(seconds=i),
        "uid": uuid.UUID(int=(i * 0x123456789ABCDEF0123456789ABCDEF) % 2**128),
        "odd": ODD[i % len(ODD)],
        "unicode": "h\u00e9llo \U0001f600 \u6f22\u5b57 %d" % i,
        "nothing": None if i % 2 else "something",
        "yes": i % 3 == 0,
        "nested": {"a": i, "~tilde": 1, "^caret": 2, "\U0001f600ab": 3, "list": [1, {"c": "~x"}], "when": T0, "deep": {"x": {"y": []}}, "e": {}, **MANY.get(i, {})},
        "list": [i, "two", None, Decimal("1.50"), "~kw", True],
        "cl\u00e9": "key",
        "keyword": Text("Keyword", "kw%d" % (i % 50)),
        "web": Text("URI", "http://127.0.0.1/?q=~%d" % i),
        "tags": frozenset([i]),
    }


def java(i):
    return {
        "id": i,
        "above_53": 2**53 + i,
        "huge": 2**70 + i,
        "price": Decimal(i * 7 - 1000).scaleb(-2),
        "double": i * 0.25 - 7,
        "nan_or_not": None if i % 2 else 1.5,
        "made_at": T0 + datetime.timedelta(milliseconds=i * 977),
        "uid": uuid.UUID(int=(i << 64) + i),
        "blob": "AQID",
        "note": "~h\u00e9llo \U0001f600 \u6f22\u5b57 %d" % i,
        "letter": "c",
        "keyword": "kw%d" % (i % 50),
        "nothing": None if i % 2 else "something",
        "yes": i % 3 == 0,
        "nested": {"a": i, "^caret": 2, "\U0001f600ab": 3, "when": T0},
        "list": [i, "two", None, Decimal("1.50")],
        "tags": [i],
        "by_list": [[1], "x"],
        "wide": {"wide_%04d" % k: k for k in range(3000)} if i % 500 == 0 else None,
    }


def push(url, client_id, token_file, n):
    # what stitchclient 1.0.1 uses and Python 3.10 took away
    for name in ("Callable", "Hashable", "Iterable", "Mapping", "MutableMapping", "MutableSet", "Sequence", "Set"):
        setattr(collections, name, getattr(collections.abc, name))
    from stitchclient.client import Client
    from transit import transit_types

    def sent(record):
        return {k: getattr(transit_types, v.kind)(str(v)) if isinstance(v, Text) else v for k, v in record.items()}

    token = open(token_file).read().strip()
    sequence = 1700000000000000000
    with Client(int(client_id), token, table_name="mixed", key_names=["id"], override_stitch_url=url) as client:
        for i in list(range(n)) + list(range(0, n, 1000)):
            data = sent(mixed(i))
            if sequence - 1700000000000000000 >= n:
                data["small"] = UPDATED
            client.push({"action": "upsert", "sequence": sequence, "data": data, "unknown": {"x": 1}, "table_version": 0})
            sequence += 1


def plain(v):
    """As a JSON value: numbers as Decimal, times and the like as text."""
    if isinstance(v, bool) or v is None:
        return v
    if isinstance(v, float):
        return Decimal(repr(v)) if v == v and abs(v) != float("inf") else None
    if isinstance(v, (int, Decimal)):
        return Decimal(v)
    if isinstance(v, datetime.datetime):
        return v.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (v.microsecond // 1000)
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items()}
    if isinstance(v, (list, frozenset)):
        return [plain(x) for x in v]
    return str(v)


def seen_as(wanted, seen):
    """What a destination shows, as plain() would say it, by the type of what is wanted."""
    if seen is None:
        return None
    if isinstance(wanted, bool):
        return bool(seen)
    if isinstance(wanted, (int, float, Decimal)):
        return Decimal(str(seen))
    if isinstance(wanted, datetime.datetime):
        return plain(datetime.datetime.fromisoformat(seen))
    if isinstance(wanted, (dict, list, frozenset)):
        return json.loads(seen, parse_float=Decimal, parse_int=Decimal)
    return seen


def flat(record, prefix=""):
    """As columns: members by their path. Arrays are tables of their own, which other tests look at."""
    out = {}
    for k, v in record.items():
        if isinstance(v, dict):
            out.update(flat(v, prefix + k + "__"))
        elif not isinstance(v, (list, frozenset)):
            out[prefix + k] = v
    return out


def bare(name):
    """What every destination keeps of a name."""
    return "".join(c for c in name if c.isalnum() and ord(c) < 128 or c in "_ $" or ord(c) >= 128)


def too_wide(make, i):
    """More members than a table has columns: rejected."""
    return i in MANY if make is mixed else i % 500 == 0


def check(make, n, rows):
    met, n_rows, wrong = set(), 0, 0
    for row in rows:
        i = int(row["id"])
        met.add(i)
        n_rows += 1
        row = {bare(k): v for k, v in row.items()}
        record = {bare(k): v for k, v in flat(make(i)).items() if k != "wide"}
        for k, wanted in record.items():
            if make is mixed and k == "small" and i % 1000 == 0:
                wanted = UPDATED
            seen = seen_as(wanted, row[k])
            if seen != plain(wanted):
                wrong += 1
                if wrong <= 5:
                    print("record %d, %s: wanted %r, seen %r" % (i, k, plain(wanted), row[k]))
        if {k for k in row if not k.startswith("_sdc_")} != set(record):
            print("columns: %s" % sorted(set(row) ^ set(record)))
            return 1
    there = {i for i in range(n) if not too_wide(make, i)}
    if met != there or n_rows != len(there):
        print("%d rows, %d different, of %d" % (n_rows, len(met), len(there)))
        return 1
    print("%d values are wrong" % wrong if wrong else "all %d rows" % n)
    return 1 if wrong else 0


def sqlite_rows(path, table):
    db = sqlite3.connect(path)
    db.row_factory = sqlite3.Row
    for row in db.execute('SELECT * FROM "%s"' % table):
        yield dict(row)


def main(args):
    if args[:1] == ["push"] and len(args) == 5:
        push(args[1], args[2], args[3], int(args[4]))
        return 0
    if args[:1] == ["check"] and len(args) >= 4:
        rows = sqlite_rows(args[3], args[4]) if args[3] != "-" else (json.loads(line, parse_float=Decimal) for line in sys.stdin)
        return check({"mixed": mixed, "java": java}[args[1]], int(args[2]), rows)
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
