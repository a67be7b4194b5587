-- What went over the wire in a call, opaque here. A call that waits for another
-- try has a row for each part of it.

CREATE TABLE traces (
    id      INTEGER PRIMARY KEY,
    call_id TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    data    BLOB    NOT NULL
);
CREATE INDEX traces_call ON traces (call_id, id);
CREATE INDEX traces_at ON traces (at);
