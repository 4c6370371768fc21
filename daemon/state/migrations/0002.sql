-- 0002.sql - rejected records and versions of columns can go by age: indexes for prune.c; and discards that wait, for the spool.

CREATE INDEX rejected_age ON rejected (created);
CREATE INDEX batch_schema ON batch (table_id, schema_version);
CREATE INDEX load_schema ON load (table_id, schema_version);
CREATE INDEX job_discarding ON job (destination_id, id) WHERE state = 5 AND error_class = 'discarding';
