#!/usr/bin/env python3
"""The double of shared/env/bigquery-double with what a loader of nested records needs beyond it; same arguments, and --double PATH of the original.

Added: tables.patch with new nested columns (the rows are written anew); the catalogue learns of ALTER COLUMN ... SET DATA TYPE; POST /_double/refuse {"field", "value"}
makes load jobs refuse such a value, by position, as BigQuery does; POST /_double/slow {"polls": n} lets each job be RUNNING for n polls; GET /_double/stats counts
requests and bytes, POST /_double/stats begins anew; POST /_double/expire forgets all tokens. On requests whose method, path and body hold the text `what`:
POST /_double/deny {"what", "reason"} answers 403; /_double/lose {"what", "count"} loses so many answers (503); /_double/partial {"what", "bytes"} takes only so much of one
upload's piece before the connection fails; /_double/before {"what", "sql"} runs a statement just before one.
"""
import argparse, datetime, json, re, secrets, sys
from http.server import ThreadingHTTPServer

at = sys.argv.index('--double')
path = sys.argv[at + 1]
del sys.argv[at:at + 2]
g = {'__name__': 'double'}
exec(compile(open(path).read(), path, 'exec'), g)
backend, err, sqltype, H = g['backend'], g['err'], g['sqltype'], g['H']
refused, slow, seen, stats = [], {'polls': 0}, {}, {'requests': 0, 'bytes': 0, 'paths': []}
traps = {}  # name -> what is to happen to the next request that fits
SHORT = {'INT64': 'INTEGER', 'FLOAT64': 'FLOAT', 'BOOL': 'BOOLEAN'}


def plain(v, f, element=False):
    """one value of a query's answer as it would stand in a line of a load job"""
    if v is None: return None
    if f.get('mode') == 'REPEATED' and not element: return [plain(x['v'], f, True) for x in v]
    if f['type'] in ('RECORD', 'STRUCT'): return {m['name']: plain(c['v'], m) for m, c in zip(f['fields'], v['f'])}
    if f['type'] == 'TIMESTAMP': return str(datetime.datetime(1, 1, 1) + datetime.timedelta(microseconds=int(v) + 62135596800000000)) + '+00'
    return {'true': True, 'false': False}.get(v, v) if f['type'] in ('BOOLEAN', 'BOOL') else v


def grown(old, new):
    """does new hold all of old, in order, at each level?"""
    have = {f['name'].lower(): f for f in new}
    return all((n := have.get(f['name'].lower())) and n['type'] == f['type'] and (n.get('mode') or 'NULLABLE') == (f.get('mode') or 'NULLABLE') and
               grown(f.get('fields', []), n.get('fields', [])) for f in old)


def rewrite(proj, ds, tb, fields):
    tables = f'/bigquery/v2/projects/{proj}/datasets/{ds}/tables'
    st, cur = backend('GET', f'{tables}/{tb}')
    cur = json.loads(cur)
    old = cur['schema']['fields']
    names = ', '.join(f"`{f['name']}`" for f in old)
    ask = {'useLegacySql': False, 'query': f'SELECT {names} FROM `{proj}.{ds}.{tb}`', 'maxResults': 100000, 'formatOptions': {'useInt64Timestamp': True}}
    st, rows = backend('POST', f'/bigquery/v2/projects/{proj}/queries', json.dumps(ask).encode())
    rows = json.loads(rows).get('rows', [])
    lines = [{f['name']: plain(c['v'], f) for f, c in zip(old, r['f'])} for r in rows]
    backend('DELETE', f'{tables}/{tb}')
    st, x = backend('POST', tables, json.dumps({k: cur[k] for k in ('tableReference', 'description', 'timePartitioning') if k in cur} | {'schema': {'fields': fields}}).encode())
    if st >= 400: return st, x
    if lines:
        b = 'x' + secrets.token_hex(12)
        conf = {'configuration': {'load': {'destinationTable': {'projectId': proj, 'datasetId': ds, 'tableId': tb}, 'schema': {'fields': fields},
                                           'sourceFormat': 'NEWLINE_DELIMITED_JSON', 'writeDisposition': 'WRITE_APPEND'}}}
        body = (f'--{b}\r\nContent-Type: application/json\r\n\r\n{json.dumps(conf)}\r\n--{b}\r\nContent-Type: application/octet-stream\r\n\r\n' +
                '\n'.join(map(json.dumps, lines)) + f'\r\n--{b}--\r\n').encode()
        st, x = backend('POST', f'/upload/bigquery/v2/projects/{proj}/jobs?uploadType=multipart', body, f'multipart/related; boundary={b}')
        if st >= 400 or json.loads(x)['status'].get('errorResult'): return 500, x
    return None


flat_widen = g['widen']


def widen(proj, ds, tb, fields):
    st, cur = backend('GET', f'/bigquery/v2/projects/{proj}/datasets/{ds}/tables/{tb}')
    have = {f['name'].lower(): f for f in json.loads(cur).get('schema', {}).get('fields', [])} if st == 200 else {}
    nested = [f for f in fields if f.get('fields') and f['name'].lower() in have and sqltype(f) != sqltype(have[f['name'].lower()])]
    if not nested: return flat_widen(proj, ds, tb, fields)
    if not grown(list(have.values()), fields):
        return err(400, 'invalid', f'Provided Schema does not match Table {proj}:{ds}.{tb}. Field {nested[0]["name"]} has changed type')
    return rewrite(proj, ds, tb, fields)


def altered(q):
    """ALTER TABLE `p.d.t` ALTER COLUMN `c` SET DATA TYPE t -> the catalogue's schema"""
    m = re.match(r'\s*ALTER TABLE `([^`]+)\.([^`.]+)\.([^`.]+)` ALTER COLUMN `(\w+)` SET DATA TYPE (\w+)', q)
    if not m: return
    proj, ds, tb, col, t = m.groups()
    path = f'/bigquery/v2/projects/{proj}/datasets/{ds}/tables/{tb}'
    fields = json.loads(backend('GET', path)[1])['schema']['fields']
    for f in fields:
        if f['name'] == col: f['type'] = SHORT.get(t, t)
    backend('PATCH', path, json.dumps({'schema': {'fields': fields}}).encode())


problem = g['problem']


def strict(v, f, path):
    for r in refused:
        if f['name'] == r['field'] and v == r['value']: return f"Could not convert value to {f['type'].lower()}. Field: {f['name']}; Value: {v}"
    return problem(v, f, path)


plain_load = g['load']


def load(proj, conf, media):
    st, b = plain_load(proj, conf, media)
    job = json.loads(b)
    e = job.get('status', {}).get('errorResult')
    m = e and re.search(r'Rows: (\d+); errors: 1\. / (.*)', e['message'])
    if m and refused:
        import gzip
        lines = (gzip.decompress(media) if media[:2] == b'\x1f\x8b' else media).split(b'\n')
        at = sum(len(l) + 1 for l in lines[:int(m.group(1)) - 1])
        e['message'] = 'Error while reading data, error message: JSON table encountered too many errors, giving up. Please look into the errors[] collection for more details.'
        job['status']['errors'] = [e, {'reason': 'invalid', 'message': f'Error while reading data, error message: JSON parsing error in row starting at position {at}: {m.group(2)}'}]
        g['jobs'][proj, job['jobReference']['jobId']] = job
        return st, json.dumps(job).encode()
    return st, b


g['widen'], g['problem'], g['load'] = widen, strict, load
route = H.route


def wrapped(self, m, u, q, body):
    if u.path.startswith('/_double/'):
        if m == 'GET': return 200, json.dumps(stats).encode(), ()
        b = json.loads(body or b'{}')
        if u.path == '/_double/stats': stats.update(requests=0, bytes=0, paths=[])
        elif u.path == '/_double/refuse': refused[:] = [b] if b else []
        elif u.path == '/_double/expire': g['tokens'].clear()
        elif u.path.split('/')[2] in ('deny', 'lose', 'partial', 'before'): traps[u.path.split('/')[2]] = b
        elif u.path == '/_double/slow': slow.update(b)
        return 200, b'{}', ()
    stats['requests'] += 1
    stats['bytes'] += len(body)
    stats['paths'].append(f'{m} {u.path}')
    text = f'{m} {u.path} {body[:3000].decode("latin-1")}'
    hit = {k: t for k, t in traps.items() if t.get('what') and t['what'] in text}
    if 'deny' in hit:
        st, b = err(403, hit['deny'].get('reason', 'accessDenied'), 'Access Denied: double: ' + hit['deny']['what'])
        return st, b, ()
    if 'before' in hit:
        traps['before'] = {}
        x = backend('POST', f"/bigquery/v2/projects/{A.project}/queries", json.dumps({'useLegacySql': False, 'query': hit['before']['sql']}).encode())
        print(hit['before']['sql'], x, flush=True)
    if 'partial' in hit and (r := re.match(r'bytes (\d+)-', self.headers.get('Content-Range') or '')):
        traps['partial'] = {}
        n, a = hit['partial']['bytes'], int(r.group(1))
        g['sessions'][q['upload_id']]['data'] = g['sessions'][q['upload_id']]['data'][:a] + body[:n]
        return 503, b'{}', ()
    st, out, hdr = route(self, m, u, q, body)
    if 'lose' in hit:
        hit['lose']['count'] = hit['lose'].get('count', 1) - 1
        if hit['lose']['count'] <= 0: traps['lose'] = {}
        return 503, b'{}', ()
    if st < 400 and m == 'POST' and u.path.endswith('/jobs') and b'ALTER COLUMN' in body:
        altered(json.loads(body)['configuration']['query']['query'])
    if slow['polls'] and st < 400 and re.search(r'/jobs(/[^/]+)?$', u.path) and out[:1] == b'{':
        job = json.loads(out)
        jid = job.get('jobReference', {}).get('jobId')
        if jid and seen.setdefault(jid, 0) < slow['polls']:
            seen[jid] += 1
            job['status'] = {'state': 'RUNNING'}
            out = json.dumps(job).encode()
    return st, out, hdr


H.route = wrapped
ap = argparse.ArgumentParser()
ap.add_argument('verb', choices=['serve'])
ap.add_argument('--port', type=int)
ap.add_argument('--backend')
ap.add_argument('--key', required=True)
ap.add_argument('--project', default='stitch-test')
ap.add_argument('--token-life', type=int, default=3600)
A = g['A'] = ap.parse_args()
A.k = json.load(open(A.key))
A.pub = g['ser'].load_pem_private_key(A.k['private_key'].encode(), None).public_key()
ThreadingHTTPServer.daemon_threads = True
print(f'bigquery-double on 127.0.0.1:{A.port}', flush=True)
ThreadingHTTPServer(('127.0.0.1', A.port), H).serve_forever()
