-- Sums within a window of time. Times of this file are in the units that the
-- names of columns say.

CREATE TABLE counts (
    name     TEXT    NOT NULL,
    until_ms INTEGER NOT NULL, -- the window's end
    total    INTEGER NOT NULL,
    PRIMARY KEY (name, until_ms)
) WITHOUT ROWID;

-- What was taken of rates comes back bit by bit. The row without a name is
-- until when the whole scope is paused.
CREATE TABLE rates (
    scope   TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    full_us INTEGER NOT NULL, -- when all will have come back
    PRIMARY KEY (scope, name)
) WITHOUT ROWID;

-- Numbers that could not be reached.
CREATE TABLE blocks (
    number     TEXT    NOT NULL PRIMARY KEY,
    blocked_ms INTEGER, -- NULL: not blocked
    data       TEXT    NOT NULL
) WITHOUT ROWID;
CREATE INDEX blocks_blocked ON blocks (blocked_ms, number) WHERE blocked_ms IS NOT NULL;

CREATE TABLE jobs (
    seq       INTEGER PRIMARY KEY, -- the order in which jobs joined their lanes
    kind      TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    lane      TEXT    NOT NULL,
    state     TEXT    NOT NULL,
    due_ms    INTEGER NOT NULL,
    joined_ms INTEGER NOT NULL,
    tries     INTEGER NOT NULL,
    cause     TEXT    NOT NULL,
    owner     TEXT    NOT NULL,
    fence     INTEGER NOT NULL,
    until_ms  INTEGER NOT NULL, -- of the claim; of one that is done or dead since when
    data      TEXT,
    UNIQUE (kind, id)
);
CREATE INDEX jobs_lane ON jobs (kind, lane, seq) WHERE state IN ('waiting', 'claimed');
CREATE INDEX jobs_state ON jobs (kind, state, seq);
CREATE INDEX jobs_ended ON jobs (until_ms) WHERE state IN ('done', 'dead');

-- Lanes that have a job, with when its first one can be claimed.
CREATE TABLE lanes (
    kind   TEXT    NOT NULL,
    lane   TEXT    NOT NULL,
    due_ms INTEGER NOT NULL,
    PRIMARY KEY (kind, lane)
) WITHOUT ROWID;
CREATE INDEX lanes_due ON lanes (kind, due_ms, lane);
