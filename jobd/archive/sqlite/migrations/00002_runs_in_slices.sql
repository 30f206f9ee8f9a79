-- Runs in slices, with actions. What a run was asked to do moves to a table of its own, so that to save how the run stands does
-- not rewrite it: a target may list every minion, and a call may hold a whole pillar.

-- +goose Up

CREATE TABLE run_requests (
    run_id TEXT PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    args   TEXT,          -- as JSON
    target TEXT NOT NULL, -- as JSON
    call   BLOB           -- what is published, and the actions around it, sealed
) STRICT, WITHOUT ROWID;
INSERT INTO run_requests (run_id, args, target, call)
    SELECT id, head -> '$.args', ifnull(head -> '$.target', '{}'), call FROM runs;
ALTER TABLE runs DROP COLUMN call;
UPDATE runs SET head = json_remove(head, '$.args', '$.target');

ALTER TABLE runs ADD COLUMN parent TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN retry_of TEXT NOT NULL DEFAULT '';
UPDATE runs SET parent = head ->> '$.parent' WHERE head ->> '$.parent' IS NOT NULL;
CREATE INDEX runs_parent ON runs (parent, created, id) WHERE parent <> '';
CREATE INDEX runs_retry_of ON runs (retry_of, created, id) WHERE retry_of <> '';
-- A run may have thousands of actions' runs, and most lists want none of them.
CREATE INDEX runs_asked ON runs (created, id) WHERE kind <> 'action';

-- How many minions have which outcome, as JSON: lists tell it of each run, and a run may have 10,000 minions.
ALTER TABLE runs ADD COLUMN counts TEXT NOT NULL DEFAULT '{}';
UPDATE runs SET counts = (SELECT json_group_object(CAST(c.outcome AS TEXT), c.n)
    FROM (SELECT outcome, count(*) AS n FROM run_minions WHERE run_id = runs.id GROUP BY outcome) c);

ALTER TABLE run_minions ADD COLUMN processes TEXT NOT NULL DEFAULT '';
ALTER TABLE run_minions ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;

-- +goose Down

ALTER TABLE run_minions DROP COLUMN seq;
ALTER TABLE run_minions DROP COLUMN processes;

ALTER TABLE runs DROP COLUMN counts;
DROP INDEX runs_asked;
DROP INDEX runs_retry_of;
DROP INDEX runs_parent;
ALTER TABLE runs DROP COLUMN retry_of;
ALTER TABLE runs DROP COLUMN parent;

ALTER TABLE runs ADD COLUMN call BLOB;
UPDATE runs SET head = json_set(head, '$.target', json(q.target)), call = q.call FROM run_requests q WHERE q.run_id = id;
UPDATE runs SET head = json_set(head, '$.args', json(q.args)) FROM run_requests q WHERE q.run_id = id AND q.args IS NOT NULL;
DROP TABLE run_requests;
