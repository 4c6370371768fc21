#!/usr/bin/env python3
"""A hard data set, and the look at a destination that tells whether all of it is there, value by value.
  hard.py bodies DIR          writes the bodies to push, in order: DIR/NN.TABLE.PATH.json, PATH being batch or push
  hard.py check KIND < TABLES  what a reader found in a destination of this KIND, as one JSON document {"TABLE": [{"COLUMN": value}]}; prints "all there" and exits 0, or
                              what is wrong
The rule is the same for all: each record is there with every value, or it is in _sdc_rejected with a reason; nothing is there twice, and what a kind must be able to
hold (MUST) may not be rejected. Names are not fixed here: the value of a field is in exactly one of the columns FIELD and FIELD__xx, nested fields have their path joined by
__ where the destination is flat, and are one value where it nests."""
import datetime, decimal, json, re, sys

D = decimal.Decimal
FLAT = ("sqlite", "postgres", "redshift")
EMOJI = "Gr\u00fc\u00dfe \"\\ \n\t\U0001F600 \u4e2d\u6587 \u05e9\u05dc\u05d5\u05dd"


class Time(str):
    """a date-time: compared as a moment"""


def n(text):
    return D(text)


KINDS = [
    {"id": 1, "int_max": 9223372036854775807, "int_min": -9223372036854775808, "frac": n("0.1"), "exp": n("-1e3"), "yes": True, "no": False, "text": EMOJI, "empty": "",
     "at": Time("2024-02-29T23:30:00.123456+02:00"), "old": Time("1969-12-31T23:59:59-11:00"), "none": None},
    {"id": 2, "int_max": None, "int_min": 0, "frac": n("2.5"), "exp": 7, "yes": False, "no": None, "text": "it's; DROP TABLE x --", "empty": None,
     "at": Time("0001-01-01T00:00:00Z"), "old": None, "none": None},
    {"id": 3, "text": "x" * 70000},
    {"id": 4, "at": Time("9999-12-31T23:59:59.999999Z")},
]
DIGITS = [
    {"id": 1, "n": n("123456789012345678901234567890")}, {"id": 2, "n": n("123456789012345678901234567890.123456789")}, {"id": 3, "n": n("0.30000000000000004")},
    {"id": 4, "n": n("98765432109876543210")}, {"id": 5, "n": n("12.345678")}, {"id": 6, "n": n("-99999999999.999999")}, {"id": 7, "n": n("1e300")},
]
NESTED = [
    {"id": 1, "addr": {"city": "K\u00f6ln", "geo": {"lat": n("50.9"), "lon": n("6.9"), "zone": {"name": "CET", "dst": True}}}, "tags": ["a", "b", ""],
     "items": [{"sku": "x", "qty": 2, "parts": [{"p": 1}, {"p": 2}]}, {"sku": "y", "qty": None, "parts": []}]},
    {"id": 2, "addr": {"city": None}, "tags": [], "items": [{"sku": "z", "qty": 1, "parts": [{"p": 3}]}]},
    {"id": 3, "addr": None, "tags": None},
    {"id": 4, "addr": {}, "items": [{"parts": [{"p": 9}]}]},
]
NESTED_AGAIN = [  # sent later: the whole record is replaced, child rows too
    {"id": 1, "addr": {"city": "Bonn"}, "tags": ["c"], "items": [{"sku": "only", "qty": 7, "parts": []}]},
]
MATRIX = [{"id": 1, "m": [[1, 2], [3]]}, {"id": 2, "m": []}, {"id": 3, "m": [[], [4]]}]
MIXED = [[{"id": 1, "x": 5, "o": {"v": 1}}], [{"id": 2, "x": "five", "o": {"v": "one"}}], [{"id": 3, "x": n("5.5"), "o": {"v": True}}, {"id": 4, "x": True}, {"id": 5, "x": None}]]
WIDE = [{"id": k + 1, **{"c%04d" % c: c for c in range(k * 300, k * 300 + 300)}} for k in range(5)]
CLASH = [{"id": 1, "ok": "fine"}, {"id": 2, "Name": "a", "name": "b"}, {"id": 3, "_sdc_mine": 1}, {"id": 4, "ok__st": "suffix"}, {"id": 5, "sp ace-and!": "special"}]
HUGE = [{"id": 1, "pad": "small"}, {"id": 2, "pad": "p" * 5_000_000}, {"id": 3, "pad": "small too"}]
PLAIN = [{"k": k, "v": "row %d" % k} for k in range(50)]

# table: (key, records in the order of sending, ids that a kind may reject)
WEAK_NUMBERS = {1, 2, 3, 4, 6, 7}
TABLES = {
    "kinds": ("id", KINDS, {}),
    "digits": ("id", DIGITS, {"redshift": WEAK_NUMBERS, "snowflake": WEAK_NUMBERS, "bigquery": WEAK_NUMBERS}),
    "nested": ("id", NESTED + NESTED_AGAIN, {}),
    "matrix": ("id", MATRIX, {}),
    "mixed": ("id", [r for b in MIXED for r in b], {}),
    "wide": ("id", WIDE, {}),
    "clash": ("id", CLASH, {k: {2, 3, 4} for k in ("sqlite", "postgres", "redshift", "snowflake", "bigquery", "jsonl")}),
    "huge": ("id", HUGE, {k: {2} for k in ("sqlite", "postgres", "redshift", "snowflake", "bigquery", "jsonl")}),
    "plain": ("k", PLAIN, {}),
}
ALWAYS_REJECTED = {"huge": {2}}
APPEND = {"plain"}


def text(v):
    """JSON with exact numbers"""
    if isinstance(v, D):
        return str(v)
    if isinstance(v, dict):
        return "{" + ",".join(json.dumps(k) + ":" + text(x) for k, x in v.items()) + "}"
    if isinstance(v, list):
        return "[" + ",".join(map(text, v)) + "]"
    return json.dumps(v, ensure_ascii=False)


def batch(table, key, records, first, schema):
    return '{"table_name":%s,"schema":%s,"key_names":%s,"messages":[%s]}' % (
        json.dumps(table), json.dumps(schema), json.dumps([key] if key else []),
        ",".join('{"action":"upsert","sequence":%d,"data":%s}' % (first + k, text(r)) for k, r in enumerate(records)))


def bodies(folder):
    at = [0]
    seq = [1_700_000_000_000_000_000]

    def put(table, key, records, schema=None):
        at[0] += 1
        with open("%s/%02d.%s.batch.json" % (folder, at[0], table), "w") as f:
            f.write(batch(table, key, records, seq[0], schema or {"type": "object", "properties": {}}))
        seq[0] += 1000

    put("kinds", "id", KINDS, {"type": "object", "properties": {"id": {"type": "integer"}, "at": {"type": ["string", "null"], "format": "date-time"},
                                                                 "old": {"type": ["string", "null"], "format": "date-time"}}})
    put("digits", "id", DIGITS)
    put("nested", "id", NESTED)
    put("nested", "id", NESTED_AGAIN)
    put("matrix", "id", MATRIX)
    for b in MIXED:
        put("mixed", "id", b)
    for r in WIDE:
        put("wide", "id", [r])
    put("clash", "id", CLASH)
    for r in HUGE:  # one body may not be larger than the door's limit for a body: each alone
        put("huge", "id", [r])
    put("plain", None, PLAIN)


# --- looking ---

bad = []


def wrong(what, *a):
    bad.append(what % a)


def canon(kind, name):
    s = name
    if kind == "bigquery":
        s = re.sub(r"[^a-zA-Z0-9_]", "_", s)
    elif kind not in ("jsonl", "sqlite"):
        s = re.sub(r"[^a-zA-Z0-9_$ \x80-\U0010ffff]", "", s)
    if kind == "snowflake":
        s = s.replace(" ", "_")
    return s.lower() if kind in ("snowflake", "bigquery", "redshift", "sqlite") else s


def moment(v):
    s = str(v).strip().replace(" ", "T")
    s = re.sub(r"(Z|UTC)$", "+00:00", s)
    m = re.match(r"(\d{1,4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?\s*([+-]\d\d(?::?\d\d)?)?$", s)
    if not m:
        return None
    y, mo, d, h, mi, sec = (int(x or 0) for x in m.groups()[:6])
    us = int(((m[7] or ".0")[1:] + "000000")[:6])
    zone = m[8] or "+00"
    minutes = int(zone[1:3]) * 60 + int((zone[3:].replace(":", "") or "0"))
    day = datetime.date(y, mo, d).toordinal()
    return ((day * 1440 + h * 60 + mi - (minutes if zone[0] == "+" else -minutes)) * 60 + sec) * 1_000_000 + us


def number(v):
    try:
        return D(str(v))
    except decimal.InvalidOperation:
        return None


def same(kind, want, got):
    if isinstance(want, Time):
        return got is not None and moment(want) == moment(got)
    if isinstance(want, bool):
        return got in (want, int(want), str(want), str(want).lower(), "t" if want else "f") and got is not None
    if isinstance(want, (int, D)):
        if isinstance(got, bool) or got is None:
            return False
        g = number(got)
        # a column of doubles shows a double
        return g is not None and (g == D(want) or (kind != "postgres" and float(g) == float(want) and len(D(want).as_tuple().digits) <= 15))
    if isinstance(want, str):
        if kind == "redshift" and len(want.encode()) > 65535:
            return isinstance(got, str) and want.encode().startswith(got.encode()) and len(got.encode()) > 65000
        return got == want
    return same_nested(kind, want, got)


def bare(v):
    """what is not there and what is null are one"""
    if isinstance(v, dict):
        v = {k: bare(x) for k, x in v.items()}
        return {k: x for k, x in v.items() if x not in (None, {}, [])} or None
    if isinstance(v, list):
        return [bare(x) for x in v] or None
    return v


def same_nested(kind, want, got):
    if isinstance(got, str):
        try:
            got = json.loads(got, parse_float=D)
        except ValueError:
            return False

    def eq(w, g):
        w, g = bare(w), bare(g)
        if w is None or g is None:
            return w is None and g is None
        if isinstance(w, dict):
            if not isinstance(g, dict):
                return False
            g = {k: x for k, x in g.items() if x is not None}
            left = set(g)
            for k, x in w.items():
                cols = [c for c in left if re.fullmatch(re.escape(canon(kind, k)) + "(__[a-z]{2})?", c if kind == "jsonl" else c.lower() if kind != "snowflake" else c)]
                if kind == "snowflake":
                    cols = [c for c in left if c == k]
                if len(cols) != 1 or not eq(x, g[cols[0]]):
                    return False
                left -= set(cols)
            return not left
        if isinstance(w, list):
            if kind == "bigquery":  # an array there has no nulls: what holds no value is left out
                w = [x for x in w if bare(x) is not None]
            if kind == "bigquery" and isinstance(g, dict):  # an array in an array is a record there
                return set(g) == {"value"} and eq(w, g["value"])
            return isinstance(g, list) and len(w) == len(g) and all(eq(a, b) for a, b in zip(w, g))
        return same(kind, w, g)

    return eq(want, got)


def flatten(record, prefix=()):
    """-> columns {path: value}, arrays {path: list}"""
    cols, arrays = {}, {}
    for k, v in record.items():
        if isinstance(v, dict):
            c, a = flatten(v, prefix + (k,))
            cols.update(c)
            arrays.update(a)
        elif isinstance(v, list):
            arrays[prefix + (k,)] = v
        else:
            cols[prefix + (k,)] = v
    return cols, arrays


def look(kind, where, row, fields):
    """each field in exactly one of its columns, and no value that nobody sent"""
    low = {(c.lower() if kind in ("snowflake", "redshift") else c): v for c, v in row.items()}
    used = set()
    for path, want in fields.items():
        name = "__".join(canon(kind, p) for p in path)
        cols = [c for c in low if re.fullmatch(re.escape(name) + "(__[a-z]{2})?", c)]
        used |= set(cols)
        got = [c for c in cols if low[c] is not None]
        if kind == "bigquery":
            got = [c for c in got if bare(low[c]) is not None]
        if want is None or (bare(want) is None and kind not in FLAT):
            if [c for c in got if bare(low[c] if not isinstance(low[c], str) or low[c][:1] not in "[{" else json.loads(low[c])) is not None]:
                wrong("%s: %s should be NULL, it is %.80r", where, name, low[got[0]])
        elif len(got) != 1:
            wrong("%s: %s is in %d columns (%s), it should be in one", where, name, len(got), ", ".join(got) or "none")
        elif not same(kind, want, low[got[0]]):
            wrong("%s: %s should be %.80r, it is %.80r", where, name, want, low[got[0]])
    for c, v in low.items():
        if c not in used and not c.startswith(("_sdc", "__sdc")) and (bare(v) if kind == "bigquery" else v) is not None:
            wrong("%s: column %s holds %.80r, which nobody sent", where, c, v)


def children(kind, tables, table, key, path, values, levels, want):
    """rows that an array becomes, noted in want[table][(key, levels)]"""
    name = "__".join([table] + [canon(kind, p) for p in path])
    for k, v in enumerate(values):
        at = levels + (k,)
        rows = want.setdefault(name, {})
        if isinstance(v, dict):
            cols, arrays = flatten(v)
            rows[(key, at)] = cols
        elif isinstance(v, list):
            cols, arrays = {}, {("value",): v}
            rows[(key, at)] = {}
        else:
            cols, arrays = {("value",): v}, {}
            rows[(key, at)] = cols
        for p, a in arrays.items():
            children(kind, tables, name, key, p, a, at, want)


def check_children(kind, tables, want, root):
    for name in [t for t in tables if t.startswith(root + "__")] + [t for t in want if t not in tables]:
        there = {}
        for row in tables.get(name, []):
            low = {c.lower(): v for c, v in row.items()}
            key = next((v for c, v in low.items() if c.startswith("_sdc_source_key_")), None)
            levels = tuple(int(low[c]) for c in sorted(low) if re.fullmatch(r"_sdc_level_\d+_id", c))
            if (str(key), levels) in there:
                wrong("%s: a child row twice: %s %s", name, key, levels)
            there[(str(key), levels)] = row
        w = {(str(k), lv): f for (k, lv), f in want.get(name, {}).items()}
        for at in sorted(set(w) | set(there), key=str):
            if at not in there:
                # a row of nothing has no table where nothing has a column
                if any(v is not None for v in w[at].values()):
                    wrong("%s: child row %s is missing", name, at)
            elif at not in w:
                wrong("%s: child row %s should not be there", name, at)
            else:
                look(kind, "%s %s" % (name, at), there[at], w[at])


def check(kind, tables):
    tables = {(t.lower() if kind in ("snowflake", "redshift", "bigquery") else t): r for t, r in tables.items()}
    rejected = {}
    for row in next((r for t, r in tables.items() if t.endswith("sdc_rejected")), []):
        low = {c.lower(): v for c, v in row.items()}
        if not low.get("reason"):
            wrong("_sdc_rejected: a row without a reason: %.80r", row)
        m = re.search(r'"(?:id|k)" ?: ?(\d+)', str(low.get("record")))
        rejected.setdefault(str(low.get("table_name")).lower(), set()).add(int(m[1]) if m else None)
    for table, (key, sent, may) in TABLES.items():
        newest = {}
        for r in sent:
            newest[r[key]] = r
        rows = {}
        for row in tables.get(table, []):
            low = {c.lower(): v for c, v in row.items()}
            k = low.get(key)
            k = int(D(str(k))) if k is not None else None
            if k in rows and kind != "jsonl":
                wrong("%s: %s %s is there twice", table, key, k)
            if k in rows and kind == "jsonl" and int(rows[k].get("_sdc_sequence", 0)) > int(low["_sdc_sequence"]):
                continue
            rows[k] = row
        want = {}
        for k, r in newest.items():
            if k not in rows:
                if k not in rejected.get(table, set()):
                    wrong("%s %s: neither in the table nor rejected", table, k)
                elif k not in may.get(kind, set()):
                    wrong("%s %s: rejected, and %s can hold it", table, k, kind)
                continue
            if k in ALWAYS_REJECTED.get(table, set()):
                wrong("%s %s: is in the table, it should be rejected", table, k)
            if kind in FLAT:
                cols, arrays = flatten(r)
                look(kind, "%s %s" % (table, k), rows[k], cols)
                for p, a in arrays.items():
                    children(kind, tables, table, k, p, a, (), want)
            else:
                look(kind, "%s %s" % (table, k), rows[k], {(f,): v for f, v in r.items()})
        for k in rows:
            if k not in newest:
                wrong("%s: a row that nobody sent: %s", table, k)
        if kind in FLAT:
            check_children(kind, tables, want, table)
    if bad:
        print("\n".join(bad[:40]))
        sys.exit(1)
    print("all there")


if __name__ == "__main__":
    if sys.argv[1:2] == ["bodies"]:
        bodies(sys.argv[2])
    elif sys.argv[1:2] == ["check"]:
        check(sys.argv[2], json.load(sys.stdin, parse_float=D))
    else:
        sys.exit(__doc__)
