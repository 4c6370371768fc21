-- 0005.sql - post-load hooks: what is told to whom, from the transaction that ends a load until it is delivered or given up; delivered ones stay for a replay, up to
-- a number. state: 1 waits, 2 delivered, 3 given up.

CREATE TABLE hook (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	destination_id INTEGER NOT NULL,
	load_id INTEGER NOT NULL,
	table_name TEXT NOT NULL, -- SOURCE.TABLE
	body TEXT NOT NULL, -- JSON
	created INTEGER NOT NULL,
	state INTEGER NOT NULL DEFAULT 1,
	tries INTEGER NOT NULL DEFAULT 0,
	not_before INTEGER NOT NULL DEFAULT 0,
	error TEXT NOT NULL DEFAULT '', -- of the last try
	updated INTEGER NOT NULL
) STRICT;
CREATE INDEX hook_waits ON hook (destination_id, id) WHERE state = 1;
