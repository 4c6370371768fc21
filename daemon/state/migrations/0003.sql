-- 0003.sql - the time of a load, fixed with its row and strictly rising per destination: destinations without a ledger make the names of their files of it; and
-- an index that finds what earlier loads of a table hold.

ALTER TABLE destination ADD COLUMN load_time INTEGER NOT NULL DEFAULT 0;
ALTER TABLE load ADD COLUMN load_time INTEGER NOT NULL DEFAULT 0;
CREATE INDEX batch_range ON batch (table_id, partition, last_offset);
