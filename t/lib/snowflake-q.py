#!/usr/bin/env python3
"""An independent reader of Snowflake for tests: snowflake-q.py PORT. Reads statements that end with NUL from stdin and runs each by the Snowflake Python connector; prints
rows, values separated by |, NULL as nothing, then a line with U+0001. What fails is told on stderr."""
import datetime, decimal, json, sys

import snowflake.connector


def text(v):
    if v is None:
        return ''
    if isinstance(v, bool):
        return 'true' if v else 'false'
    if isinstance(v, datetime.datetime):
        return (v.astimezone(datetime.timezone.utc) if v.tzinfo else v).strftime('%Y-%m-%d %H:%M:%S.%f')
    if isinstance(v, float):
        return repr(int(v)) if v.is_integer() and abs(v) < 1e15 else repr(v)
    if isinstance(v, decimal.Decimal):
        return format(v, 'f')
    return str(v)


def main():
    con = snowflake.connector.connect(user='reader', password='any', account='stitch', host='127.0.0.1', port=int(sys.argv[1]), protocol='http',
                                      session_parameters={'CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED': False})
    left = b''
    while True:
        piece = sys.stdin.buffer.raw.read(65536)
        if not piece:
            return
        left += piece
        while b'\0' in left:
            sql, left = left.split(b'\0', 1)
            try:
                for row in con.cursor().execute(sql.decode()).fetchall():
                    print('|'.join(text(v) for v in row))
            except Exception as e:
                print(f'{sql.decode()}: {e}', file=sys.stderr, flush=True)
            print('\x01', flush=True)


main()
