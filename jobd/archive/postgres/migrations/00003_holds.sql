-- Legal holds, bodies packed with zstd, and what is needed to tell how large the archive is and how fast it grows.

-- +goose Up

-- What retention may not delete, and who said so, when and why. Released ones stay as the record of that.
CREATE TABLE holds (
    id             text   COLLATE "C" PRIMARY KEY,
    run_id         text   COLLATE "C" NOT NULL, -- the run that is held; empty where it is a job
    master_id      bigint NOT NULL,             -- of the job
    jid            text   COLLATE "C" NOT NULL,
    reason         text   COLLATE "C" NOT NULL,
    holder         text   COLLATE "C" NOT NULL,
    created        bigint NOT NULL,
    released       bigint NOT NULL DEFAULT 0,
    releaser       text   COLLATE "C" NOT NULL DEFAULT '',
    release_reason text   COLLATE "C" NOT NULL DEFAULT ''
);
CREATE INDEX holds_active ON holds (created, id) WHERE released = 0;

-- Before when jobs were deleted: one row.
CREATE TABLE horizon (until bigint NOT NULL);
INSERT INTO horizon VALUES (0);

-- How much was stored at a time.
CREATE TABLE measures (
    kind  text   COLLATE "C" NOT NULL,
    at    bigint NOT NULL,
    rows  bigint NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (kind, at)
);

-- A body in zstd; body is empty then. The server need not try to make it smaller.
ALTER TABLE contents ADD COLUMN packed bytea;
ALTER TABLE contents ALTER COLUMN packed SET STORAGE EXTERNAL;
CREATE OR REPLACE VIEW content_bodies AS SELECT id AS content_id, body, holes, packed FROM contents;
-- The same for cuts, which are null then; and how many bytes the body had as it came, null for those from before.
ALTER TABLE returns ADD COLUMN packed_cuts bytea;
ALTER TABLE returns ADD COLUMN size bigint;
-- How many bytes the bodies of returns had as they came, and how many returns are counted in that.
ALTER TABLE masters ADD COLUMN raw bigint NOT NULL DEFAULT 0;
ALTER TABLE masters ADD COLUMN sized bigint NOT NULL DEFAULT 0;

-- +goose Down

-- A jobd from before does not read what is packed: it is unpacked before this (migrate.go).
ALTER TABLE masters DROP COLUMN sized, DROP COLUMN raw;
ALTER TABLE returns DROP COLUMN size, DROP COLUMN packed_cuts;
DROP VIEW content_bodies;
ALTER TABLE contents DROP COLUMN packed;
CREATE VIEW content_bodies AS SELECT id AS content_id, body, holes FROM contents;
DROP TABLE measures, horizon, holds;
