CREATE TABLE bindings (
    id   TEXT NOT NULL PRIMARY KEY,
    data TEXT
);
