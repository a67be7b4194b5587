-- What was said of a phone since the configuration was written.

CREATE TABLE extensions (
    number TEXT    NOT NULL PRIMARY KEY,
    dnd    INTEGER NOT NULL -- 1: do not disturb
) WITHOUT ROWID;
