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

-- A table of a source. taken: records of all its cuts, repeats: records of dropped repeats, both when they are passed by a cursor or position; reread: what rewinds took
-- back of both. taken + repeats - reread is what lies behind the streamery: each destination accounts for all of it (see tally).
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
	reread INTEGER NOT NULL DEFAULT 0,
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
CREATE INDEX cursor_next ON cursor (partition, next_offset);
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
-- Repeats that were dropped, and the destinations that have them as loaded (0: nobody was connected, -1: nobody was, and somebody came), until they are
-- trimmed: a rewind takes them back.
CREATE TABLE dropped (
	partition INTEGER NOT NULL,
	offset INTEGER NOT NULL,
	destination_id INTEGER NOT NULL,
	table_id INTEGER NOT NULL,
	records INTEGER NOT NULL,
	PRIMARY KEY (partition, offset, destination_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX dropped_nobody ON dropped (table_id) WHERE destination_id = 0;

-- counted: how many of its records count in the ledgers, those in [first_offset, counted_end): all of them until a rewind goes into it.
-- unclaimed: it waits without any job (no destination); it is spooled under destination 0.
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
	counted INTEGER NOT NULL,
	counted_end INTEGER NOT NULL,
	unclaimed INTEGER NOT NULL,
	done INTEGER NOT NULL DEFAULT 0, -- since when all its destinations have it; 0: not yet
	deleted INTEGER NOT NULL DEFAULT 0 -- the file
) STRICT, WITHOUT ROWID;
CREATE INDEX batch_place ON batch (partition, first_offset, unclaimed, created, done);
CREATE INDEX batch_table ON batch (table_id, partition, first_offset);
CREATE INDEX batch_end ON batch (partition, last_offset);
CREATE INDEX batch_open ON batch (partition, first_offset) WHERE done = 0 AND unclaimed = 0;
CREATE INDEX batch_unclaimed ON batch (table_id, first_received) WHERE unclaimed = 1;
CREATE INDEX batch_done ON batch (done) WHERE done > 0 AND deleted = 0;
CREATE INDEX batch_over ON batch (done) WHERE done > 0 AND deleted > 0;

-- One batch for one destination; at most one that still waits. state: enum job_state (1 ready, 2 active, 3 done, 4 deferred, 5 held, 6 rejected, 7 corrupt, 8 discarded).
-- counted: what it counts for in the tally, 0 once another job of the batch counts, or the batch is read again; counted_rejected: how much of that the destination
-- refused (done). attempts: number of the last attempt of any load with this batch, so that the rejects of two attempts never meet.
CREATE TABLE job (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	destination_id INTEGER NOT NULL REFERENCES destination (id),
	table_id INTEGER NOT NULL REFERENCES tbl (id),
	batch_id TEXT NOT NULL REFERENCES batch (id),
	schema TEXT NOT NULL, -- in the destination
	state INTEGER NOT NULL,
	load_id INTEGER NOT NULL DEFAULT 0, -- the last
	attempts INTEGER NOT NULL DEFAULT 0,
	records INTEGER NOT NULL,
	bytes INTEGER NOT NULL,
	counted INTEGER NOT NULL,
	counted_rejected INTEGER NOT NULL DEFAULT 0,
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
CREATE INDEX job_state ON job (state);
CREATE INDEX job_table ON job (table_id);
CREATE INDEX job_destination ON job (destination_id);
CREATE INDEX job_ready ON job (destination_id, table_id, id) WHERE state = 1;
CREATE INDEX job_oldest ON job (destination_id, table_id, oldest) WHERE state IN (1, 2, 4, 5);
CREATE UNIQUE INDEX job_live ON job (batch_id, destination_id) WHERE state IN (1, 2, 4, 5);
CREATE INDEX job_batch ON job (batch_id, destination_id);
CREATE INDEX job_load ON job (load_id) WHERE load_id > 0;

-- outcome: '' while unfinished, else done, data, corrupt, discarded.
CREATE TABLE load (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	destination_id INTEGER NOT NULL,
	table_id INTEGER NOT NULL,
	schema TEXT NOT NULL,
	key_names TEXT NOT NULL,
	attempt INTEGER NOT NULL,
	schema_version INTEGER NOT NULL,
	started INTEGER NOT NULL,
	not_before INTEGER NOT NULL DEFAULT 0,
	ended INTEGER NOT NULL DEFAULT 0,
	outcome TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX load_open ON load (destination_id, table_id) WHERE outcome = '';
CREATE INDEX load_ended ON load (ended) WHERE outcome <> '';

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

-- The zero-sum ledger. destination_id 0: no destination ("-"). For each destination that is connected (0: when none is), at all times,
--	taken + repeats - reread (of the table) = before + spooled + loaded + rejected + discarded
-- The last four follow the jobs by the triggers below; a repeat is added to loaded by the transaction that passes it. before: what lay behind the streamery already when the
-- destination was connected and is not its matter. ready*, waiting*: how much is in jobs that can be loaded, and in all that are not at an end.
CREATE TABLE tally (
	table_id INTEGER NOT NULL REFERENCES tbl (id),
	destination_id INTEGER NOT NULL,
	before INTEGER NOT NULL DEFAULT 0,
	spooled INTEGER NOT NULL DEFAULT 0,
	loaded INTEGER NOT NULL DEFAULT 0,
	rejected INTEGER NOT NULL DEFAULT 0, -- corrupt ones too
	discarded INTEGER NOT NULL DEFAULT 0,
	reread INTEGER NOT NULL DEFAULT 0,
	ready INTEGER NOT NULL DEFAULT 0,
	ready_records INTEGER NOT NULL DEFAULT 0,
	ready_bytes INTEGER NOT NULL DEFAULT 0,
	waiting INTEGER NOT NULL DEFAULT 0,
	waiting_bytes INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (table_id, destination_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX tally_ready ON tally (destination_id, table_id) WHERE ready > 0;

CREATE TABLE job_count (state INTEGER PRIMARY KEY, n INTEGER NOT NULL, records INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
INSERT INTO job_count VALUES (1, 0, 0, 0), (2, 0, 0, 0), (3, 0, 0, 0), (4, 0, 0, 0), (5, 0, 0, 0), (6, 0, 0, 0), (7, 0, 0, 0), (8, 0, 0, 0);

CREATE TRIGGER job_added AFTER INSERT ON job BEGIN
	UPDATE job_count SET n = n + 1, records = records + new.records, bytes = bytes + new.bytes WHERE state = new.state;
	UPDATE tally SET
		spooled = spooled + new.counted * (new.state IN (1, 2, 4, 5)),
		loaded = loaded + (new.counted - new.counted_rejected) * (new.state = 3),
		rejected = rejected + new.counted_rejected * (new.state = 3) + new.counted * (new.state IN (6, 7)),
		discarded = discarded + new.counted * (new.state = 8),
		ready = ready + (new.state = 1),
		ready_records = ready_records + new.records * (new.state = 1),
		ready_bytes = ready_bytes + new.bytes * (new.state = 1),
		waiting = waiting + (new.state IN (1, 2, 4, 5)),
		waiting_bytes = waiting_bytes + new.bytes * (new.state IN (1, 2, 4, 5))
	WHERE table_id = new.table_id AND destination_id = new.destination_id;
END;
CREATE TRIGGER job_changed AFTER UPDATE OF state, counted, counted_rejected ON job BEGIN
	UPDATE job_count SET n = n - 1, records = records - new.records, bytes = bytes - new.bytes WHERE state = old.state AND old.state <> new.state;
	UPDATE job_count SET n = n + 1, records = records + new.records, bytes = bytes + new.bytes WHERE state = new.state AND old.state <> new.state;
	UPDATE tally SET
		spooled = spooled + new.counted * (new.state IN (1, 2, 4, 5)) - old.counted * (old.state IN (1, 2, 4, 5)),
		loaded = loaded + (new.counted - new.counted_rejected) * (new.state = 3) - (old.counted - old.counted_rejected) * (old.state = 3),
		rejected = rejected + new.counted_rejected * (new.state = 3) + new.counted * (new.state IN (6, 7))
			- old.counted_rejected * (old.state = 3) - old.counted * (old.state IN (6, 7)),
		discarded = discarded + new.counted * (new.state = 8) - old.counted * (old.state = 8),
		ready = ready + (new.state = 1) - (old.state = 1),
		ready_records = ready_records + new.records * ((new.state = 1) - (old.state = 1)),
		ready_bytes = ready_bytes + new.bytes * ((new.state = 1) - (old.state = 1)),
		waiting = waiting + (new.state IN (1, 2, 4, 5)) - (old.state IN (1, 2, 4, 5)),
		waiting_bytes = waiting_bytes + new.bytes * ((new.state IN (1, 2, 4, 5)) - (old.state IN (1, 2, 4, 5)))
	WHERE table_id = new.table_id AND destination_id = new.destination_id;
END;
-- Only what is at an end is ever deleted, and it stays counted.
CREATE TRIGGER job_gone AFTER DELETE ON job BEGIN
	UPDATE job_count SET n = n - 1, records = records - old.records, bytes = bytes - old.bytes WHERE state = old.state;
END;
CREATE TRIGGER batch_added AFTER INSERT ON batch WHEN new.unclaimed = 1 BEGIN
	UPDATE tally SET spooled = spooled + new.counted, waiting = waiting + 1, waiting_bytes = waiting_bytes + new.bytes
	WHERE table_id = new.table_id AND destination_id = 0;
END;
CREATE TRIGGER batch_changed AFTER UPDATE OF counted, unclaimed, bytes ON batch WHEN new.unclaimed = 1 OR old.unclaimed = 1 BEGIN
	UPDATE tally SET
		spooled = spooled + new.counted * new.unclaimed - old.counted * old.unclaimed,
		waiting = waiting + new.unclaimed - old.unclaimed,
		waiting_bytes = waiting_bytes + new.bytes * new.unclaimed - old.bytes * old.unclaimed
	WHERE table_id = new.table_id AND destination_id = 0;
END;

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
