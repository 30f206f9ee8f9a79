-- What people ask of the archive: how long states and runs took, what changed a thing and when, what failed, and what runs now.
-- Durations are microseconds.

-- +goose Up

-- Null where there are no states, and for every return from before.
ALTER TABLE returns ADD COLUMN duration bigint;
ALTER TABLE state_latest ADD COLUMN duration bigint;
DROP INDEX state_latest_state;
CREATE INDEX state_latest_state ON state_latest (state_id, minion_id);

-- A state's parts, by which it is searched for. A key from before whose id or name holds the separator has none.
ALTER TABLE states ADD COLUMN function text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE states ADD COLUMN declared text COLLATE "C" NOT NULL DEFAULT ''; -- its id
ALTER TABLE states ADD COLUMN name text COLLATE "C" NOT NULL DEFAULT '';
UPDATE states SET function = p.parts[1] || '.' || p.parts[4], declared = p.parts[2], name = p.parts[3]
    FROM (SELECT id, string_to_array(state, '_|-') AS parts FROM states) p WHERE p.id = states.id AND array_length(p.parts, 1) = 4;
CREATE INDEX states_name ON states (left(name, 100));
CREATE INDEX states_declared ON states (left(declared, 100)) WHERE declared <> name;

-- When the return came, so that an index has the order of time.
ALTER TABLE state_results ADD COLUMN stamp bigint NOT NULL DEFAULT 0;
UPDATE state_results s SET stamp = r.stamp FROM returns r WHERE r.job_id = s.job_id AND r.minion_id = s.minion_id;
DROP INDEX state_results_state;
CREATE INDEX state_results_state ON state_results (state_id, outcome, stamp);
-- 6 is failed: few states are.
CREATE INDEX state_results_failed ON state_results (stamp) WHERE outcome = 6;

-- The jobs of which expected minions have not returned.
CREATE TABLE open_jobs (
    job_id  bigint PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE ON UPDATE CASCADE,
    started bigint NOT NULL, -- as the job's
    missing bigint NOT NULL  -- how many minions
) WITH (fillfactor = 50);
CREATE INDEX open_jobs_started ON open_jobs (started, job_id);
INSERT INTO open_jobs (job_id, started, missing) SELECT id, started, missing FROM (
    SELECT j.id, j.started, (SELECT count(DISTINCT s.minion_id) FROM job_minions m JOIN minion_set_members s ON s.set_id = m.set_id
            WHERE m.job_id = j.id AND m.role = 0 AND NOT EXISTS (SELECT 1 FROM returns r WHERE r.job_id = j.id AND r.minion_id = s.minion_id)) AS missing
        FROM jobs j WHERE j.started >= (SELECT max(started) FROM jobs) - 2 * 86400000000) o WHERE missing > 0;

-- How often a state took long on a day, and when most. A row is one master's, so that masters do not wait for each other.
CREATE TABLE slow_states (
    state_id  bigint NOT NULL,
    master_id bigint NOT NULL,
    day       bigint NOT NULL, -- since 1970, UTC
    runs      bigint NOT NULL,
    total     bigint NOT NULL,
    slowest   bigint NOT NULL,
    minion_id bigint NOT NULL, -- where it took the longest
    jid       text   COLLATE "C" NOT NULL,
    PRIMARY KEY (state_id, master_id, day)
) WITH (fillfactor = 70);
CREATE INDEX slow_states_day ON slow_states (day, slowest, state_id);

-- How long the state runs of a day took together: how many there were in each bucket of durations.
CREATE TABLE run_durations (
    applied   text     COLLATE "C" NOT NULL, -- what was run: "highstate", or the SLS files
    test      boolean  NOT NULL,
    day       bigint   NOT NULL, -- since 1970, UTC
    master_id bigint   NOT NULL,
    bucket    integer  NOT NULL, -- see tables/durations.go
    runs      bigint   NOT NULL,
    total     bigint   NOT NULL,
    slowest   bigint   NOT NULL,
    PRIMARY KEY (applied, test, day, master_id, bucket)
) WITH (fillfactor = 50);
CREATE INDEX run_durations_day ON run_durations (day);

-- Since when durations are kept: 0 where there was nothing before.
CREATE TABLE durations_since (stamp bigint NOT NULL);
INSERT INTO durations_since SELECT CASE WHEN EXISTS (SELECT 1 FROM returns) THEN (extract(epoch FROM now()) * 1000000)::bigint ELSE 0 END;

-- +goose Down

DROP TABLE durations_since, run_durations, slow_states, open_jobs;
DROP INDEX state_results_failed;
DROP INDEX state_results_state;
CREATE INDEX state_results_state ON state_results (state_id);
ALTER TABLE state_results DROP COLUMN stamp;
DROP INDEX states_declared;
DROP INDEX states_name;
ALTER TABLE states DROP COLUMN name, DROP COLUMN declared, DROP COLUMN function;
DROP INDEX state_latest_state;
CREATE INDEX state_latest_state ON state_latest (state_id);
ALTER TABLE state_latest DROP COLUMN duration;
ALTER TABLE returns DROP COLUMN duration;
