-- Which master's a run is, without reading it: an archive may hold those of many.

-- +goose Up

ALTER TABLE runs ADD COLUMN master TEXT NOT NULL DEFAULT '';
UPDATE runs SET master = coalesce(json_extract(head, '$.master'), '');
CREATE INDEX runs_active_of_master ON runs (master, created, id) WHERE active;

-- +goose Down

DROP INDEX runs_active_of_master;
ALTER TABLE runs DROP COLUMN master;
