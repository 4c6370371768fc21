-- 0001.sql - the first state.db. Times: ns since 1970, 0 = not set. Applied in one transaction by migrate.c, which then sets PRAGMA user_version.
-- Offsets and counts fit a signed 64-bit integer. Deleted sources and destinations keep their row (names become free), so that what waits can still be shown and loaded.

CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID; -- queue_id: the queue that this state belongs to

CREATE TABLE client (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, created INTEGER NOT NULL) STRICT;
INSERT INTO client VALUES (1, 'default', 0);

CREATE TABLE source (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	client_id INTEGER NOT NULL REFERENCES client (id),
	name TEXT NOT NULL,
	kind TEXT NOT NULL,
	settings TEXT NOT NULL,
	created INTEGER NOT NULL,
	deleted INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX source_name ON source (name) WHERE deleted = 0;

CREATE TABLE token (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	source_id INTEGER NOT NULL REFERENCES source (id),
	hash BLOB NOT NULL UNIQUE, -- sha256
	hint TEXT NOT NULL,
	created INTEGER NOT NULL,
	revoked INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX token_source ON token (source_id) WHERE revoked = 0;

CREATE TABLE destination (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL,
	kind TEXT NOT NULL,
	settings TEXT NOT NULL, -- secrets sealed
	created INTEGER NOT NULL,
	deleted INTEGER NOT NULL DEFAULT 0,
	error_class TEXT NOT NULL DEFAULT '', -- of the last attempt; '' = fine
	error TEXT NOT NULL DEFAULT '',
	error_since INTEGER NOT NULL DEFAULT 0,
	not_before INTEGER NOT NULL DEFAULT 0,
	attempts INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX destination_name ON destination (name) WHERE deleted = 0;

CREATE TABLE connection (
	source_id INTEGER NOT NULL REFERENCES source (id),
	destination_id INTEGER NOT NULL REFERENCES destination (id),
	schema TEXT NOT NULL,
	created INTEGER NOT NULL,
	PRIMARY KEY (source_id, destination_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE pause (
	kind INTEGER NOT NULL, -- enum pause_kind
	object_id INTEGER NOT NULL,
	who TEXT NOT NULL,
	reason TEXT NOT NULL,
	since INTEGER NOT NULL,
	until INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (kind, object_id)
) STRICT, WITHOUT ROWID;

-- A table of a source. taken: records of all its batch rows ever, and repeats: records of dropped repeats, both counted when they were passed;
-- accepted_base: records of its queue records that have been trimmed off the queue.
CREATE TABLE tbl (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	source_id INTEGER NOT NULL REFERENCES source (id),
	name TEXT NOT NULL,
	key_names TEXT NOT NULL DEFAULT '[]', -- of the newest shape
	schema_version INTEGER NOT NULL DEFAULT 0,
	created INTEGER NOT NULL,
	accepted_base INTEGER NOT NULL DEFAULT 0,
	taken INTEGER NOT NULL DEFAULT 0,
	repeats INTEGER NOT NULL DEFAULT 0,
	UNIQUE (source_id, name)
) STRICT;

CREATE TABLE table_schema (
	table_id INTEGER NOT NULL REFERENCES tbl (id),
	version INTEGER NOT NULL,
	key_names TEXT NOT NULL,
	columns TEXT NOT NULL, -- JSON, see types.h
	created INTEGER NOT NULL,
	PRIMARY KEY (table_id, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE position (partition INTEGER PRIMARY KEY, queue_id BLOB NOT NULL, read_from INTEGER NOT NULL) STRICT;
CREATE TABLE cursor (
	partition INTEGER NOT NULL,
	table_id INTEGER NOT NULL REFERENCES tbl (id),
	next_offset INTEGER NOT NULL,
	PRIMARY KEY (partition, table_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE trimmed (partition INTEGER PRIMARY KEY, tallied_to INTEGER NOT NULL) STRICT;

-- Request ids that were taken (architecture.md, section 4). repeat_offset: the newest dropped repeat, -1: none.
CREATE TABLE request (
	source_id INTEGER NOT NULL,
	request_id BLOB NOT NULL,
	table_id INTEGER NOT NULL,
	part INTEGER NOT NULL,
	partition INTEGER NOT NULL,
	offset INTEGER NOT NULL,
	received_at INTEGER NOT NULL,
	repeat_offset INTEGER NOT NULL DEFAULT -1,
	PRIMARY KEY (source_id, request_id, table_id, part)
) STRICT, WITHOUT ROWID;
CREATE INDEX request_age ON request (received_at);

CREATE TABLE batch (
	id TEXT PRIMARY KEY,
	table_id INTEGER NOT NULL REFERENCES tbl (id),
	path TEXT NOT NULL UNIQUE,
	reason TEXT NOT NULL,
	queue_id BLOB NOT NULL,
	partition INTEGER NOT NULL,
	first_offset INTEGER NOT NULL,
	last_offset INTEGER NOT NULL,
	records INTEGER NOT NULL,
	lines INTEGER NOT NULL,
	bytes INTEGER NOT NULL,
	sha256 BLOB NOT NULL,
	table_version INTEGER NOT NULL,
	schema_version INTEGER NOT NULL,
	key_names TEXT NOT NULL, -- of this batch: a load holds batches of one key set
	first_received INTEGER NOT NULL,
	last_received INTEGER NOT NULL,
	created INTEGER NOT NULL,
	done INTEGER NOT NULL DEFAULT 0, -- since when all its destinations have it; 0: not yet
	deleted INTEGER NOT NULL DEFAULT 0 -- the file
) STRICT, WITHOUT ROWID;
CREATE INDEX batch_place ON batch (partition, table_id, first_offset);
CREATE INDEX batch_open ON batch (partition, first_offset) WHERE done = 0;
CREATE INDEX batch_done ON batch (done) WHERE done > 0 AND deleted = 0;

-- One batch for one destination. state: enum job_state. A batch of a source without any destination has no job; it counts as spooled under destination 0.
CREATE TABLE job (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	destination_id INTEGER NOT NULL REFERENCES destination (id),
	table_id INTEGER NOT NULL REFERENCES tbl (id),
	batch_id TEXT NOT NULL REFERENCES batch (id),
	state INTEGER NOT NULL,
	load_id INTEGER NOT NULL DEFAULT 0,
	attempts INTEGER NOT NULL DEFAULT 0,
	records INTEGER NOT NULL, -- what it counts for in the tally: 0 for a replay of what is counted elsewhere
	bytes INTEGER NOT NULL,
	oldest INTEGER NOT NULL, -- first_received of the batch
	rows INTEGER NOT NULL DEFAULT 0,
	rejected INTEGER NOT NULL DEFAULT 0,
	error_class TEXT NOT NULL DEFAULT '',
	error TEXT NOT NULL DEFAULT '',
	not_before INTEGER NOT NULL DEFAULT 0,
	replay_of INTEGER NOT NULL DEFAULT 0,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL
) STRICT;
CREATE INDEX job_state ON job (state, id);
CREATE INDEX job_waiting ON job (destination_id, table_id, id) WHERE state IN (1, 2, 4, 5);
CREATE INDEX job_batch ON job (batch_id);
CREATE INDEX job_load ON job (load_id) WHERE load_id > 0;

-- outcome: '' while unfinished, else done, data, corrupt, discarded.
CREATE TABLE load (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	destination_id INTEGER NOT NULL,
	table_id INTEGER NOT NULL,
	attempt INTEGER NOT NULL,
	schema_version INTEGER NOT NULL,
	started INTEGER NOT NULL,
	ended INTEGER NOT NULL DEFAULT 0,
	outcome TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX load_open ON load (destination_id, table_id) WHERE outcome = '';

CREATE TABLE rejected (
	destination_id INTEGER NOT NULL,
	batch_id TEXT NOT NULL,
	record INTEGER NOT NULL,
	attempt INTEGER NOT NULL,
	field TEXT NOT NULL,
	value TEXT NOT NULL,
	reason TEXT NOT NULL,
	raw TEXT NOT NULL,
	created INTEGER NOT NULL,
	PRIMARY KEY (destination_id, batch_id, record, attempt)
) STRICT, WITHOUT ROWID;

-- The zero-sum ledger, moved in the transaction of what it counts. destination_id 0: no destination ("-").
CREATE TABLE tally (
	table_id INTEGER NOT NULL REFERENCES tbl (id),
	destination_id INTEGER NOT NULL,
	before INTEGER NOT NULL DEFAULT 0,
	spooled INTEGER NOT NULL DEFAULT 0,
	loaded INTEGER NOT NULL DEFAULT 0,
	rejected INTEGER NOT NULL DEFAULT 0,
	discarded INTEGER NOT NULL DEFAULT 0,
	reread INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (table_id, destination_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE event (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, level TEXT NOT NULL, kind TEXT NOT NULL, object TEXT NOT NULL, text TEXT NOT NULL) STRICT;
CREATE TABLE audit (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	at INTEGER NOT NULL,
	who TEXT NOT NULL,
	action TEXT NOT NULL,
	object TEXT NOT NULL,
	before TEXT,
	after TEXT,
	result TEXT
) STRICT;
CREATE INDEX audit_object ON audit (object, id);
