-- What was written and is still to be carried to a store that several share.
-- It names the records: what is carried is the record as it is by then.

CREATE TABLE outbox (
    seq   INTEGER PRIMARY KEY,
    at    INTEGER NOT NULL,
    type  TEXT    NOT NULL,
    id    TEXT    NOT NULL,
    first INTEGER NOT NULL, -- of events the first row, of a trace its row, otherwise 0
    last  INTEGER NOT NULL  -- of events the last row, of a trace its time, otherwise 0
);

-- How this file is called among those that share a store.
CREATE TABLE node (
    id TEXT NOT NULL PRIMARY KEY
) WITHOUT ROWID;

-- The highest seq that may have been removed, the highest event of those
-- changes, and the highest seq that was carried.
INSERT INTO counters (name, value) VALUES ('outbox', 0), ('outbox_event', 0), ('shipped', 0);
