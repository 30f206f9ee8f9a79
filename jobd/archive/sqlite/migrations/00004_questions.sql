-- What people ask of the archive: how long states and runs took, what changed a thing and when, what failed, and what runs now.
-- Durations are microseconds.

-- +goose Up

-- Null where there are no states, and for every return from before.
ALTER TABLE returns ADD COLUMN duration INTEGER;
ALTER TABLE state_latest ADD COLUMN duration INTEGER;

-- A state's parts, by which it is searched for. A key from before whose id or name holds the separator has none.
ALTER TABLE states ADD COLUMN function TEXT NOT NULL DEFAULT '';
ALTER TABLE states ADD COLUMN declared TEXT NOT NULL DEFAULT ''; -- its id
ALTER TABLE states ADD COLUMN name TEXT NOT NULL DEFAULT '';
UPDATE states SET function = p.module || '.' || p.function, declared = p.declared, name = p.name FROM (
    SELECT id, module, declared, substr(rest, 1, instr(rest, '_|-') - 1) AS name, substr(rest, instr(rest, '_|-') + 3) AS function FROM (
        SELECT id, module, substr(rest, 1, instr(rest, '_|-') - 1) AS declared, substr(rest, instr(rest, '_|-') + 3) AS rest FROM (
            SELECT id, substr(state, 1, instr(state, '_|-') - 1) AS module, substr(state, instr(state, '_|-') + 3) AS rest FROM states
                WHERE length(state) - length(replace(state, '_|-', '')) = 9))) p
    WHERE p.id = states.id;
CREATE INDEX states_name ON states (name);
CREATE INDEX states_declared ON states (declared) WHERE declared <> name;

-- When the return came, so that an index has the order of time.
ALTER TABLE state_results ADD COLUMN stamp INTEGER NOT NULL DEFAULT 0;
UPDATE state_results SET stamp = (SELECT r.stamp FROM returns r WHERE r.job_id = state_results.job_id AND r.minion_id = state_results.minion_id);
DROP INDEX state_results_state;
CREATE INDEX state_results_state ON state_results (state_id, outcome, stamp);

-- The jobs of which expected minions have not returned.
CREATE TABLE open_jobs (
    job_id  INTEGER PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    started INTEGER NOT NULL, -- as the job's
    missing INTEGER NOT NULL  -- how many minions
) STRICT;
CREATE INDEX open_jobs_started ON open_jobs (started, job_id);
INSERT INTO open_jobs (job_id, started, missing) SELECT id, started, missing FROM (
    SELECT j.id, j.started, (SELECT count(DISTINCT s.minion_id) FROM job_minions m JOIN minion_set_members s ON s.set_id = m.set_id
            WHERE m.job_id = j.id AND m.role = 0 AND NOT EXISTS (SELECT 1 FROM returns r WHERE r.job_id = j.id AND r.minion_id = s.minion_id)) AS missing
        FROM jobs j WHERE j.started >= (SELECT max(started) FROM jobs) - 2 * 86400000000) WHERE missing > 0;

-- How often a state took long on a day, and when most.
CREATE TABLE slow_states (
    state_id  INTEGER NOT NULL REFERENCES states (id),
    master_id INTEGER NOT NULL REFERENCES masters (id),
    day       INTEGER NOT NULL, -- since 1970, UTC
    runs      INTEGER NOT NULL,
    total     INTEGER NOT NULL,
    slowest   INTEGER NOT NULL,
    minion_id INTEGER NOT NULL REFERENCES minions (id), -- where it took the longest
    jid       TEXT    NOT NULL,
    PRIMARY KEY (state_id, master_id, day)
) STRICT, WITHOUT ROWID;
CREATE INDEX slow_states_day ON slow_states (day, slowest, state_id);

-- How long the state runs of a day took together: how many there were in each bucket of durations.
CREATE TABLE run_durations (
    applied   TEXT    NOT NULL, -- what was run: "highstate", or the SLS files
    test      INTEGER NOT NULL,
    day       INTEGER NOT NULL, -- since 1970, UTC
    master_id INTEGER NOT NULL REFERENCES masters (id),
    bucket    INTEGER NOT NULL, -- see tables/durations.go
    runs      INTEGER NOT NULL,
    total     INTEGER NOT NULL,
    slowest   INTEGER NOT NULL,
    PRIMARY KEY (applied, test, day, master_id, bucket)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_durations_day ON run_durations (day);

-- Since when durations are kept: 0 where there was nothing before.
CREATE TABLE durations_since (stamp INTEGER NOT NULL) STRICT;
INSERT INTO durations_since SELECT CASE WHEN EXISTS (SELECT 1 FROM returns) THEN CAST(unixepoch('subsec') * 1000000 AS INTEGER) ELSE 0 END;

-- +goose Down

DROP TABLE durations_since;
DROP TABLE run_durations;
DROP TABLE slow_states;
DROP TABLE open_jobs;
DROP INDEX state_results_state;
CREATE INDEX state_results_state ON state_results (state_id);
ALTER TABLE state_results DROP COLUMN stamp;
DROP INDEX states_declared;
DROP INDEX states_name;
ALTER TABLE states DROP COLUMN name;
ALTER TABLE states DROP COLUMN declared;
ALTER TABLE states DROP COLUMN function;
ALTER TABLE state_latest DROP COLUMN duration;
ALTER TABLE returns DROP COLUMN duration;
