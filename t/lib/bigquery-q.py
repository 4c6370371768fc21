#!/usr/bin/env python3
"""An independent reader of BigQuery (or its double): bigquery-q.py KEY.json, then statements from stdin, each ended by NUL.

Prints rows, values separated by |, NULL as empty text, times as YYYY-MM-DD HH:MM:SS.ffffff, nested values as JSON; then a line with U+0001. METHOD /PATH [JSON] is
a request instead (GET, POST, PATCH, DELETE; the path after the project); its answer is printed as it is. JSON SQL prints each row as an object, numbers as text.
"""
import datetime, json, sys, time, urllib.error, urllib.parse, urllib.request
import jwt

key = json.load(open(sys.argv[1]))
base, project = key['token_uri'].rsplit('/', 1)[0], key['project_id']
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
token = None


def http(method, url, body=None, headers={}):
    try:
        with opener.open(urllib.request.Request(url, data=body, method=method, headers=headers)) as x: return x.status, x.read()
    except urllib.error.HTTPError as e: return e.code, e.read()


def login():
    n = int(time.time())
    a = jwt.encode({'iss': key['client_email'], 'aud': key['token_uri'], 'scope': 'https://www.googleapis.com/auth/bigquery', 'iat': n, 'exp': n + 3600}, key['private_key'], 'RS256')
    form = urllib.parse.urlencode({'grant_type': 'urn:ietf:params:oauth:grant-type:jwt-bearer', 'assertion': a}).encode()
    return json.loads(http('POST', key['token_uri'], form, {'Content-Type': 'application/x-www-form-urlencoded'})[1])['access_token']


def call(method, path, body=None):
    global token
    for _ in range(2):
        token = token or login()
        st, b = http(method, f'{base}/bigquery/v2/projects/{project}{path}', body, {'Content-Type': 'application/json', 'Authorization': f'Bearer {token}'})
        if st != 401: break
        token = None
    return st, b


class Number(float):
    """a number whose digits stay as they came"""
    def __new__(cls, text): x = float.__new__(cls, text); x.text = text; return x
    def __repr__(self): return self.text


def plain(v, f, element=False):
    t = f['type']
    if v is None: return None
    if f.get('mode') == 'REPEATED' and not element: return [plain(x['v'], f, True) for x in v]
    if t in ('RECORD', 'STRUCT'): return {m['name']: plain(c['v'], m) for m, c in zip(f['fields'], v['f'])}
    if t in ('INTEGER', 'INT64'): return int(v)
    if t in ('FLOAT', 'FLOAT64'): return Number(v[:-2] if v.endswith('.0') else v)
    if t in ('NUMERIC', 'BIGNUMERIC'): return Number(v.rstrip('0').rstrip('.') if '.' in v else v)
    if t in ('BOOLEAN', 'BOOL'): return v == 'true'
    if t == 'TIMESTAMP': return (datetime.datetime(1, 1, 1) + datetime.timedelta(microseconds=int(v) + 62135596800000000)).strftime('%Y-%m-%d %H:%M:%S.%f').rjust(26, '0')
    return v


def text(v):
    if v is None: return ''
    if isinstance(v, bool): return 'true' if v else 'false'
    if isinstance(v, (dict, list)): return json.dumps(v, ensure_ascii=False, separators=(',', ':'))
    return v.text if isinstance(v, Number) else str(v)


def shown(v):
    if isinstance(v, dict): return {k: shown(x) for k, x in v.items()}
    if isinstance(v, list): return [shown(x) for x in v]
    return v if v is None or isinstance(v, bool) else text(v)


def answer(sql):
    parts = sql.split(None, 2)
    whole = parts[0] == 'JSON'
    if whole: sql = sql[len('JSON '):]
    if parts[0] in ('GET', 'POST', 'PATCH', 'DELETE') and parts[1].startswith('/'):
        return [call(parts[0], parts[1], parts[2].encode() if len(parts) > 2 else None)[1].decode()]
    st, b = call('POST', '/queries', json.dumps({'query': sql, 'useLegacySql': False, 'maxResults': 100000, 'formatOptions': {'useInt64Timestamp': True}}).encode())
    o = json.loads(b)
    if st != 200 or o.get('errors'): print(sql, b[:500], file=sys.stderr, flush=True)
    fields = o.get('schema', {}).get('fields', [])
    if whole: return [json.dumps({f['name']: shown(plain(c['v'], f)) for c, f in zip(r['f'], fields)}) for r in o.get('rows', [])]
    return ['|'.join(text(plain(c['v'], f)) for c, f in zip(r['f'], fields)) for r in o.get('rows', [])]


pending = b''
while True:
    while b'\0' not in pending:
        more = sys.stdin.buffer.raw.read(65536)
        if not more: sys.exit()
        pending += more
    sql, pending = pending.split(b'\0', 1)
    try:
        for line in answer(sql.decode()): print(line)
    except Exception as e: print(sql, e, file=sys.stderr, flush=True)
    print('\x01', flush=True)
