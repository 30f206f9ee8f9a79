-- Legal holds, bodies packed with zstd, and what is needed to tell how large the archive is and how fast it grows.

-- +goose Up

-- What retention may not delete, and who said so, when and why. Released ones stay as the record of that.
CREATE TABLE holds (
    id             TEXT    PRIMARY KEY,
    run_id         TEXT    NOT NULL, -- the run that is held; empty where it is a job
    master_id      INTEGER NOT NULL, -- of the job
    jid            TEXT    NOT NULL,
    reason         TEXT    NOT NULL,
    holder         TEXT    NOT NULL,
    created        INTEGER NOT NULL,
    released       INTEGER NOT NULL DEFAULT 0,
    releaser       TEXT    NOT NULL DEFAULT '',
    release_reason TEXT    NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE INDEX holds_active ON holds (created, id) WHERE released = 0;

-- Before when jobs were deleted: one row.
CREATE TABLE horizon (until INTEGER NOT NULL) STRICT;
INSERT INTO horizon VALUES (0);

-- How much was stored at a time.
CREATE TABLE measures (
    kind  TEXT    NOT NULL,
    at    INTEGER NOT NULL,
    rows  INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (kind, at)
) STRICT, WITHOUT ROWID;

-- A body in zstd; body is empty then.
ALTER TABLE content_bodies ADD COLUMN packed BLOB;
-- The same for cuts, which are null then; and how many bytes the body had as it came, null for those from before.
ALTER TABLE returns ADD COLUMN packed_cuts BLOB;
ALTER TABLE returns ADD COLUMN size INTEGER;
-- How many bytes the bodies of returns had as they came, and how many returns are counted in that.
ALTER TABLE masters ADD COLUMN raw INTEGER NOT NULL DEFAULT 0;
ALTER TABLE masters ADD COLUMN sized INTEGER NOT NULL DEFAULT 0;

-- +goose Down

-- A jobd from before does not read what is packed: it is unpacked before this (migrate.go).
ALTER TABLE masters DROP COLUMN sized;
ALTER TABLE masters DROP COLUMN raw;
ALTER TABLE returns DROP COLUMN size;
ALTER TABLE returns DROP COLUMN packed_cuts;
ALTER TABLE content_bodies DROP COLUMN packed;
DROP TABLE measures;
DROP TABLE horizon;
DROP TABLE holds;
