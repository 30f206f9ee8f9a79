-- How jobs came to be, what belongs to what, and how Salt's own batches stand.

-- +goose Up

-- A number that codes.go names; 0 for none, and for every job from before.
ALTER TABLE jobs ADD COLUMN origin INTEGER NOT NULL DEFAULT 0;

-- What is known of a job beside its publication and its returns. It may come before the job does, or without it.
CREATE TABLE job_notes (
    master_id INTEGER NOT NULL REFERENCES masters (id),
    jid       TEXT    NOT NULL,
    stamp     INTEGER NOT NULL, -- when it was last told
    parent    TEXT    NOT NULL, -- jid of the job that it belongs to
    schedule  TEXT    NOT NULL, -- the entry of the minion's schedule that started it
    batch     TEXT,             -- how it stands, as JSON, where it is one of Salt's own batches
    PRIMARY KEY (master_id, jid)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_notes_parent ON job_notes (parent, jid) WHERE parent <> '';
CREATE INDEX job_notes_stamp ON job_notes (stamp);

-- +goose Down

DROP TABLE job_notes;
ALTER TABLE jobs DROP COLUMN origin;
