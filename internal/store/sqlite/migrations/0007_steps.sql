-- What changed, where that is not to be found in a record.

ALTER TABLE outbox ADD COLUMN data TEXT;
