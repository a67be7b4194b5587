-- Records are kept as JSON in data; the columns beside it exist to be searched.
-- Times are nanoseconds since 1970.

CREATE TABLE calls (
    id         TEXT    NOT NULL PRIMARY KEY,
    kind       TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    result     TEXT    NOT NULL,
    line       TEXT    NOT NULL,
    number     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    open       INTEGER NOT NULL, -- 1 until the call has ended
    data       TEXT    NOT NULL
);
CREATE INDEX calls_created ON calls (created_at, id);
CREATE INDEX calls_number ON calls (number, created_at, id);
CREATE INDEX calls_line ON calls (line, created_at, id);
CREATE INDEX calls_kind ON calls (kind, created_at, id);
CREATE INDEX calls_result ON calls (result, created_at, id);
CREATE INDEX calls_open ON calls (line, number) WHERE open = 1;

CREATE TABLE events (
    id      INTEGER PRIMARY KEY,
    call_id TEXT    NOT NULL,
    type    TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    data    TEXT
);
CREATE INDEX events_call ON events (call_id, id);

CREATE TABLE dialogs (
    id      TEXT NOT NULL PRIMARY KEY,
    call_id TEXT NOT NULL,
    leg_id  TEXT NOT NULL,
    data    TEXT
);

CREATE TABLE idempotency_keys (
    scope      TEXT    NOT NULL,
    value      TEXT    NOT NULL,
    hash       TEXT    NOT NULL,
    call_id    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (scope, value)
) WITHOUT ROWID;
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);

CREATE TABLE leases (
    name  TEXT    NOT NULL PRIMARY KEY,
    owner TEXT    NOT NULL,
    fence INTEGER NOT NULL,
    until INTEGER NOT NULL
) WITHOUT ROWID;

-- One counter for the fences of all leases, so that a lease's row may be
-- deleted without its fence ever going back.
CREATE TABLE counters (
    name  TEXT    NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO counters (name, value) VALUES ('fence', 0), ('probe', 0);
