-- 0004.sql - replays of single rejected records. A replay is a batch of its own with one record, for one destination, made of record replay_record of batch
-- replay_batch ('': a batch of the queue); it counts nothing by itself (counted 0), its job counts what was taken off the job that had it as rejected.
-- replay_index: where the record stands in its queue record.

ALTER TABLE batch ADD COLUMN replay_batch TEXT NOT NULL DEFAULT '';
ALTER TABLE batch ADD COLUMN replay_record INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch ADD COLUMN replay_index INTEGER NOT NULL DEFAULT 0;
CREATE INDEX batch_replay ON batch (replay_batch, replay_record) WHERE replay_batch <> '';
-- Of a rejected record: its last replay; loaded: that one is in the destination.
ALTER TABLE rejected ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rejected ADD COLUMN replay_job INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rejected ADD COLUMN loaded INTEGER NOT NULL DEFAULT 0;
