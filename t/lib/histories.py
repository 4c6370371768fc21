#!/usr/bin/env python3
"""
histories.py - random histories of one table through a loader (by loader-driver), in many orders, and the rows that must come of them.

  histories.py --driver PROGRAM --loader PROGRAM --seed N [--variants N] [--keep DIR]        a file of SQLite for each variant
               --settings JSON --psql 'psql ARGUMENTS'                                       PostgreSQL, a schema for each variant
               ... --redshift                                                                what stands in for Redshift, by the PostgreSQL behind it

A history is made by its seed: batches of records with keys or without, of one or two table versions with activations, nested, of types that change, some of them
to be rejected, some batches cut anew over the same records. Each variant loads its batches in another order, grouping and number of times, with loaders killed in
between; then each batch once more, to be sure. The tables are read with Python's own SQLite, or by psql, and compared with what a model here, which shares nothing with the loader, makes
of the records. Prints one line; exit 1 with the difference when it fails.
"""
import argparse, decimal, json, os, random, re, shlex, shutil, sqlite3, subprocess, sys, tempfile

SUFFIX = {'integer': 'it', 'bignum': 'de', 'number': 'de', 'boolean': 'bo', 'string': 'st', 'timestamp': 'ti'}
RENAMES = CASE = False # the dialect
GROUP = {'integer': 'n', 'bignum': 'n', 'number': 'n', 'boolean': 'b', 'string': 's', 'timestamp': 't'}

class Time(str):
	"""A string that its batch's schema says is a time."""

# --- a history ---

class History:
	def __init__(self, seed):
		self.r = r = random.Random(seed)
		self.keys = r.choice([['id'], ['id'], ['id', 'k2'], []])
		self.versions = r.random() < 0.4
		self.sequence = 1000
		self.shapes = {name: r.choice(['scalar', 'scalar', 'object', 'array', 'mixed']) for name in ['a', 'b', 'c', 'd', 'e', 'f']}
		self.batches, self.kinds = [], []
		version, offset = (1 if self.versions else 0), 0
		for n in range(r.randint(3, 9)):
			if self.versions and r.random() < 0.3:
				version = r.choice([1, 2, 3])
			lines = []
			self.timed = r.random() < 0.5
			for _ in range(r.randint(1, 4)):
				offset += r.randint(1, 3)
				lines.append((offset, [self.record() for _ in range(r.randint(1, 4))]))
				if self.versions and r.random() < 0.15:
					lines[-1][1].append(None)
			self.batches.append((version, lines))
			self.kinds.append(self.timed)
		# the same records cut anew: whole entries of consecutive batches of one version and one schema
		self.recuts = []
		for _ in range(r.choice([0, 0, 1, 2])):
			at = r.randrange(len(self.batches))
			version, lines = self.batches[at][0], []
			kind = self.kinds[at]
			while at < len(self.batches) and self.batches[at][0] == version and self.kinds[at] == kind:
				lines += self.batches[at][1]
				at += 1
			first = r.randrange(len(lines))
			self.recuts.append((version, lines[first:r.randint(first + 1, len(lines))]))

	def scalar(self):
		r = self.r
		return r.choice([r.randint(-5, 5), r.randint(-5, 5), r.randint(0, 9) + 0.5, r.choice(['x', 'y', '', 'Grüße']), r.random() < 0.5, 2**70 + r.randint(0, 3), None])

	def value(self, shape, depth):
		r = self.r
		if shape == 'mixed':
			shape = r.choice(['scalar', 'object', 'array'])
		if shape == 'scalar' or depth > 3:
			return self.scalar() if r.random() < 0.5 else r.randint(0, 9)
		if shape == 'object':
			return {name: self.value(r.choice(['scalar', 'scalar', 'object', 'array']), depth + 1) for name in r.sample(['x', 'y', 'z'], r.randint(0, 2))}
		return [self.value(r.choice(['scalar', 'object', 'object', 'array']), depth + 1) for _ in range(r.choice([0, 1, 1, 2, 3]))]

	def record(self):
		r = self.r
		self.sequence += r.randint(1, 5)
		data = {}
		for key in self.keys:
			data[key] = r.randint(1, 4)
		for name in r.sample(sorted(self.shapes), r.randint(0, 4)):
			data[name] = self.value(self.shapes[name], 1)
		if r.random() < 0.4:
			when = f'2024-0{r.randint(1, 3)}-01T00:00:00Z'
			data['w'] = Time(when) if self.timed else r.choice([when, 'never', 1])
		bad = r.random()
		if bad < 0.04:
			data['x__st'] = 1
		elif bad < 0.06:
			data['A'] = 'collides, where there is an a'
		elif bad < 0.09 and self.keys:
			del data[r.choice(self.keys)]
		elif bad < 0.12:
			data['f'] = [{'_sdc_sequence': 1}] if r.random() < 0.5 else {'q': [{'y__it': True}]}
		items = list(data.items())
		r.shuffle(items)
		return (self.sequence, dict(items))

	def shuffle_sequences(self):
		"""Sequences are unique, but not in the queue's order."""
		r, records = self.r, [x for _, lines in self.batches for _, recs in lines for x in recs if x]
		wanted = [s for s, _ in records]
		for i in range(len(wanted) - 1):
			if r.random() < 0.3:
				j = r.randrange(len(wanted))
				wanted[i], wanted[j] = wanted[j], wanted[i]
		new = {id(x): (s, x[1]) for x, s in zip(records, wanted)}
		done = lambda lines: [(o, [new[id(x)] if x else None for x in recs]) for o, recs in lines]
		self.recuts = [(v, done(lines)) for v, lines in self.recuts]
		self.batches = [(v, done(lines)) for v, lines in self.batches]

	def script(self):
		out = ['history', 'table t ' + ','.join(self.keys)]
		for k, (version, lines) in enumerate(self.batches + self.recuts):
			times = [x[1]['w'] for _, recs in lines for x in recs if x and 'w' in x[1]]
			out.append(f'timed w {"on" if any(isinstance(w, Time) for w in times) else "off"}')
			out.append(f'batch b{k} {version}')
			for offset, recs in lines:
				out.append(f'entry {offset}')
				for x in recs:
					out.append(f'rec {x[0]} {json.dumps(x[1])}' if x else 'activate 1')
			out.append('end')
		return out

# --- the model ---

def type_of(v):
	if isinstance(v, bool):
		return 'boolean'
	if isinstance(v, int):
		return 'integer' if -2**63 <= v < 2**63 else 'bignum'
	if isinstance(v, float):
		return 'number'
	if isinstance(v, Time):
		return 'timestamp'
	return 'string'

class Model:
	def __init__(self, h):
		self.h, self.order, self.types, self.tables = h, [], {}, {}
		for _, lines in h.batches:
			for _, recs in lines:
				for x in recs:
					if x:
						for name, v in x[1].items():
							self.see((name,), v)
		# of names that are alike but for case the first one seen has the column
		self.first = {}
		for path in self.order:
			if len(path) == 1:
				self.first.setdefault(path[0] if CASE else path[0].lower(), path[0])
		# groups of types in records that are taken: what only rejected ones hold has no column
		self.taken = {}
		for _, lines in h.batches:
			for _, recs in lines:
				for x in recs:
					if x and not self.bad(x[1]):
						self.use((), x[1])

	def use(self, path, v):
		if isinstance(v, dict):
			for name, inner in v.items():
				self.use(path + (name,), inner)
		elif isinstance(v, list):
			for inner in v:
				self.use(path + (0,), inner)
		elif v is not None:
			self.taken.setdefault(path, set()).add(GROUP[type_of(v)])

	def see(self, path, v):
		if v is None:
			return
		if path not in self.types:
			self.types[path] = []
			self.order.append(path)
		if isinstance(v, dict):
			for name, inner in v.items():
				self.see(path + (name,), inner)
		elif isinstance(v, list):
			self.take_table(path)
			for inner in v:
				self.see(path + (0,), inner)
		elif type_of(v) not in self.types[path]:
			self.types[path].append(type_of(v))

	def table_of(self, path):
		"""name of the table for the elements of an array there"""
		cut = max([i for i, p in enumerate(path) if p == 0], default=-1)
		outer = self.table_of(path[:cut]) if cut >= 0 else 't'
		return f'{outer}__{"__".join(path[cut + 1:]) or "value"}'

	def take_table(self, path):
		"""A field that is an object here and an array there may mean two tables of one name: the first has it."""
		if not any(p == 0 and self.tables.get(self.table_of(path[:i])) != path[:i] for i, p in enumerate(path)):
			self.tables.setdefault(self.table_of(path), path)

	def collides(self, path, v):
		if isinstance(v, dict):
			return any(self.collides(path + (name,), inner) for name, inner in v.items())
		if not isinstance(v, list):
			return False
		return self.tables.get(self.table_of(path)) != path or any(self.collides(path + (0,), inner) for inner in v)

	def column(self, path, base, v):
		seen, groups = self.types[path], []
		for t in seen:
			if GROUP[t] not in [g for g, _ in groups]:
				groups.append((GROUP[t], t))
		own = [t for g, t in groups if g == GROUP[type_of(v)]][0]
		if path[0] in self.h.keys or (own == groups[0][1] and not (RENAMES and self.taken[path] - {groups[0][0]})):
			return base
		return f'{base}__{SUFFIX[own]}'

	def bad(self, data):
		for key in self.h.keys:
			if data.get(key) is None:
				return True
		def reserved(v, top):
			if isinstance(v, dict):
				return any(inner is not None and (re.search('__(st|it|bi)$', name) or (name.startswith('_sdc'))) or reserved(inner, False) for name, inner in v.items())
			return isinstance(v, list) and any(reserved(x, False) for x in v)
		if reserved(data, True):
			return True
		return any(v is not None and self.first[name if CASE else name.lower()] != name for name, v in data.items()) or self.collides((), data)

	def flatten(self, data):
		"""rows: {table: [(levels, {column: value})]}"""
		rows = {}
		def put(path, v, base, table, cells, levels):
			if v is None:
				return
			if isinstance(v, dict):
				for name, inner in v.items():
					put(path + (name,), inner, f'{base}__{name}' if base else name, table, cells, levels)
			elif isinstance(v, list):
				inner_table = f'{table}__{base or "value"}'
				for i, inner in enumerate(v):
					own = {}
					put(path + (0,), inner, '', inner_table, own, levels + (i,))
					if own:
						rows.setdefault(inner_table, []).append((levels + (i,), own))
			else:
				name = base or 'value'
				cells[self.column(path, name, v)] = v
		root = {}
		for name, v in data.items():
			put((name,), v, name, 't', root, ())
		if root or rows or self.h.keys:
			rows['t'] = [((), root)]
		return rows

	def result(self):
		active, kept = 0, {}
		for version, lines in self.h.batches:
			for offset, recs in lines:
				for x in recs:
					if x is None:
						active = max(active, version)
		for version, lines in self.h.batches:
			for _, recs in lines:
				for x in recs:
					if x is None or self.bad(x[1]):
						continue
					key = tuple(x[1][k] for k in self.h.keys) if self.h.keys else x[0]
					if key not in kept or kept[key][0] < (version, x[0]):
						kept[key] = ((version, x[0]), x[1])
		out = {}
		for (version, sequence), data in kept.values():
			if version < active:
				continue
			for table, rows in self.flatten(data).items():
				for levels, cells in rows:
					out.setdefault(table, []).append((sequence, version, levels, cells))
		return out

# --- what is there ---

class Sqlite:
	def __init__(self, args, tmp, k):
		self.path = os.path.join(tmp, f'{k}.db')
		self.settings, self.script = json.dumps({'path': self.path}), []

	def names(self):
		self.db = sqlite3.connect(self.path)
		self.db.row_factory = sqlite3.Row
		return [n[len('shop__'):] for (n,) in
			self.db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND (name = 'shop__t' OR name LIKE 'shop\\_\\_t\\_\\_%' ESCAPE '\\')")]

	def rows(self, name):
		return [dict(r) for r in self.db.execute(f'SELECT * FROM "shop__{name}"')]

class Postgres:
	def __init__(self, args, tmp, k):
		self.psql, self.schema = shlex.split(args.psql), f'h{args.seed}_{k}'
		self.settings, self.script = args.settings, [f'schema {self.schema}']

	def ask(self, sql):
		p = subprocess.run(self.psql + ['-XAtqc', sql], capture_output=True, text=True, check=True)
		return [json.loads(line, parse_float=decimal.Decimal) for line in p.stdout.splitlines()]

	def names(self):
		return self.ask(f"SELECT to_json(tablename) FROM pg_tables WHERE schemaname = '{self.schema}' AND (tablename = 't' OR tablename LIKE 't\\_\\_%')")

	def rows(self, name):
		return self.ask(f'SELECT row_to_json(_row) FROM "{self.schema}"."{name}" _row')

def read(dest, h):
	out, of_row = {}, {}
	for name in sorted(dest.names(), key=len):
		for row in dest.rows(name):
			cells = {k: v for k, v in row.items() if v is not None}
			ours = {k: cells.pop(k) for k in list(cells) if k.startswith('_sdc_') or k == '__sdc_primary_key'}
			levels = tuple(ours[f'_sdc_level_{i}_id'] for i in range(9) if f'_sdc_level_{i}_id' in ours)
			row_key = tuple(ours[f'_sdc_source_key_{k}'] for k in h.keys or ['__sdc_primary_key']) if levels else \
				tuple(cells[k] for k in h.keys) if h.keys else (ours['__sdc_primary_key'],)
			if not levels:
				if row_key in of_row:
					sys.exit(f'two rows of {row_key}')
				of_row[row_key] = ours['_sdc_sequence']
			elif of_row.get(row_key) != ours['_sdc_sequence']:
				sys.exit(f'{name}: a child row of {row_key} with sequence {ours["_sdc_sequence"]}, its row has {of_row.get(row_key)}')
			out.setdefault(name, []).append((ours['_sdc_sequence'], ours['_sdc_table_version'], levels, cells))
	ledger = dest.rows('_stitch_ledger')
	return out, (len(ledger), len({x['batch_id'] for x in ledger}), sum(x['rows'] + x['rejected'] for x in ledger))

def plain(rows):
	"""To be compared: order does not count, nor whether a number is a REAL or text of it."""
	def value(v):
		if isinstance(v, bool):
			return ('n', float(v))
		if isinstance(v, decimal.Decimal):
			v = int(v) if v == int(v) else float(v)
		if isinstance(v, int):
			return ('n', float(v)) if -2**53 < v < 2**53 else ('s', str(v))
		if isinstance(v, Time):
			return ('s', v[:19])
		if isinstance(v, str) and re.match(r'\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.0+)?$', v):
			return ('s', v[:19].replace(' ', 'T'))
		return ('n', v) if isinstance(v, float) else ('s', v)
	return {t: sorted((s, v, l, tuple(sorted((k, value(c)) for k, c in cells.items()))) for s, v, l, cells in x) for t, x in rows.items() if x}

# --- variants ---

def drive(args, dest, lines):
	text = '\n'.join([f'spawn {args.loader}', f'open {dest.settings}'] + dest.script + lines) + '\n'
	p = subprocess.run([args.driver], input=text, capture_output=True, text=True, timeout=120)
	for line in p.stdout.splitlines():
		if line.startswith('error '):
			sys.exit(f'the loader said {line}')
	return p.stdout

def variant(args, h, script, r, dest):
	"""Loads everything, in some way; returns what was done, for people."""
	names = [f'b{k}' for k in range(len(h.batches) + len(h.recuts))]
	todo = names + [n for n in names if r.random() < 0.3]
	r.shuffle(todo)
	said = []
	while todo:
		session, end = [], r.random()
		while todo and (not session or r.random() < 0.7):
			size = r.choice([1, 1, 2, 3, 5])
			load = list(dict.fromkeys(todo[:size]))
			del todo[:size]
			session.append('load ' + ' '.join(load))
		if end < 0.25:
			session.insert(len(session) - 1, f'kill-after {r.randint(1, 12)}')
			again = session[-1].split()[1:]
		elif end < 0.4:
			session.insert(0, 'on-reject kill')
			again = [n for line in session if line.startswith('load') for n in line.split()[1:]]
			session = [session[0], 'load ' + ' '.join(dict.fromkeys(again))]
		else:
			again = []
		todo += again
		drive(args, dest, script + session)
		said += session
		if again:
			said.append('(killed)')
			r.shuffle(todo)
			if len(said) > 60:
				# enough of it
				drive(args, dest, script + [f'load {n}' for n in todo])
				todo = []
	r.shuffle(names)
	out = drive(args, dest, script + [f'load {n}' for n in names])
	if sum('"already"' in line for line in out.splitlines()) != len(names):
		sys.exit('not every batch was answered at the end: ' + out)
	return said

def main():
	ap = argparse.ArgumentParser()
	for name in ('--driver', '--loader'):
		ap.add_argument(name, required=True)
	ap.add_argument('--seed', type=int, required=True)
	ap.add_argument('--variants', type=int, default=4)
	ap.add_argument('--keep')
	ap.add_argument('--settings')
	ap.add_argument('--psql')
	ap.add_argument('--redshift', action='store_true')
	args = ap.parse_args()
	if args.psql:
		global RENAMES, CASE
		RENAMES, CASE = True, not args.redshift
		SUFFIX['integer'] = 'bi'
		if args.redshift:
			SUFFIX['bignum'] = SUFFIX['number'] = 'do'
	h = History(args.seed)
	h.shuffle_sequences()
	script, wanted = h.script(), plain(Model(h).result())
	records = sum(1 for _, lines in h.batches + h.recuts for _, recs in lines for x in recs if x)
	n = len(h.batches) + len(h.recuts)
	tmp = tempfile.mkdtemp()
	try:
		for k in range(args.variants):
			dest = (Postgres if args.psql else Sqlite)(args, tmp, k)
			said = []
			try:
				if k == 0: # as it was sent
					said = [f'load b{i}' for i in range(n)] * 2 # a table that is made voids the ledger of batches without rows
					drive(args, dest, script + said)
				else:
					said = variant(args, h, script, random.Random(args.seed * 1000 + k), dest)
				rows, ledger = read(dest, h)
				seen = plain(rows)
				if ledger != (n, n, records):
					sys.exit(f'the ledger has {ledger}, wanted {(n, n, records)}')
				for table in sorted(set(seen) | set(wanted)):
					a, b = wanted.get(table, []), seen.get(table, [])
					if a != b:
						sys.exit(f'{table}\n  only wanted: {[x for x in a if x not in b]}\n  only there:  {[x for x in b if x not in a]}')
			except SystemExit as e:
				if args.keep:
					with open(os.path.join(args.keep, f'history-{args.seed}.script'), 'w') as f:
						f.write('\n'.join(script + said) + '\n')
				print(f'seed {args.seed}, variant {k}: {e}\n  loads: {said}')
				return 1
		print(f'seed {args.seed}: {n} batches, {records} records, {sum(map(len, wanted.values()))} rows in {len(wanted)} tables')
		return 0
	finally:
		shutil.rmtree(tmp)

sys.exit(main())
