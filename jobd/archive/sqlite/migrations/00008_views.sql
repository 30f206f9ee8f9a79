-- What people may ask with SQL tools: the views' names, columns and types stay, whatever becomes of the tables. docs/guides/sql.md
-- tells what they mean. Bodies, arguments and the data of events are not in them.

-- +goose Up

-- The numbers of tables/codes.go by name.
CREATE TABLE outcome_names (
    code INTEGER PRIMARY KEY,
    name TEXT -- null for none
) STRICT;
INSERT INTO outcome_names VALUES
    (0, NULL), (1, 'pending'), (2, 'succeeded'), (3, 'in_sync'), (4, 'changed'), (5, 'would_change'),
    (6, 'failed'), (7, 'could_not_run'), (8, 'no_return'), (9, 'unreachable'), (10, 'killed'), (11, 'skipped');

CREATE TABLE source_names (
    code INTEGER PRIMARY KEY,
    name TEXT -- null for none
) STRICT;
INSERT INTO source_names VALUES
    (0, NULL), (1, 'bus'), (2, 'cache');

CREATE TABLE origin_names (
    code INTEGER PRIMARY KEY,
    name TEXT -- null for none
) STRICT;
INSERT INTO origin_names VALUES
    (0, NULL), (1, 'publish'), (2, 'batch'), (3, 'runner'), (4, 'orchestration'), (5, 'salt-call'),
    (6, 'schedule'), (7, 'salt-ssh');

CREATE VIEW v1_jobs AS
    SELECT ma.name AS master, j.jid, j.function, nullif(j.target_type, '') AS target_type,
        CASE WHEN j.target_type = 'list' THEN (SELECT group_concat(l.name, ',') FROM (SELECT DISTINCT lm.name
                FROM job_minions jm JOIN minion_set_members s ON s.set_id = jm.set_id JOIN minions lm ON lm.id = s.minion_id
                WHERE jm.job_id = j.id AND jm.role = 2 ORDER BY lm.name) l)
            ELSE nullif(j.target, '') END AS target,
        nullif(j."user", '') AS username, nullif(j.run_id, '') AS run_id, CASE WHEN n.batch IS NULL THEN o.name ELSE 'batch' END AS origin, nullif(n.parent, '') AS parent,
        nullif(n.schedule, '') AS schedule, c.test, j.known, so.name AS source,
        (SELECT count(DISTINCT s.minion_id) FROM job_minions jm JOIN minion_set_members s ON s.set_id = jm.set_id
            WHERE jm.job_id = j.id AND jm.role = 0) AS expected,
        strftime('%Y-%m-%dT%H:%M:%S', nullif(j.started, 0) / 1000000, 'unixepoch') || printf('.%06dZ', j.started % 1000000) AS started, j.started AS started_us
    FROM jobs j JOIN masters ma ON ma.id = j.master_id JOIN calls c ON c.id = j.call_id JOIN source_names so ON so.code = j.source
        JOIN origin_names o ON o.code = j.origin LEFT JOIN job_notes n ON n.master_id = j.master_id AND n.jid = j.jid;

CREATE VIEW v1_returns AS
    SELECT ma.name AS master, j.jid, m.name AS minion, c.function, o.name AS outcome, r.retcode, r.success, nullif(r.message, '') AS message,
        nullif(c.run_id, '') AS run_id, c.test, so.name AS source, r.states, r.unclean AS unclean_states,
        strftime('%Y-%m-%dT%H:%M:%S', nullif(r.stamp, 0) / 1000000, 'unixepoch') || printf('.%06dZ', r.stamp % 1000000) AS stamp, r.stamp AS stamp_us
    FROM returns r JOIN jobs j ON j.id = r.job_id JOIN masters ma ON ma.id = j.master_id JOIN minions m ON m.id = r.minion_id
        JOIN calls c ON c.id = r.call_id JOIN outcome_names o ON o.code = r.outcome JOIN source_names so ON so.code = r.source;

CREATE VIEW v1_states AS
    SELECT ma.name AS master, j.jid, m.name AS minion, s.state, nullif(s.sls, '') AS sls, x.place, o.name AS outcome, c.test,
        strftime('%Y-%m-%dT%H:%M:%S', nullif(r.stamp, 0) / 1000000, 'unixepoch') || printf('.%06dZ', r.stamp % 1000000) AS stamp, r.stamp AS stamp_us
    FROM state_results x JOIN returns r ON r.job_id = x.job_id AND r.minion_id = x.minion_id JOIN jobs j ON j.id = x.job_id
        JOIN masters ma ON ma.id = j.master_id JOIN minions m ON m.id = x.minion_id JOIN states s ON s.id = x.state_id
        JOIN calls c ON c.id = r.call_id JOIN outcome_names o ON o.code = x.outcome;

CREATE VIEW v1_latest_states AS
    SELECT ma.name AS master, m.name AS minion, s.state, nullif(s.sls, '') AS sls, o.name AS outcome, l.test, j.jid,
        strftime('%Y-%m-%dT%H:%M:%S', nullif(l.stamp, 0) / 1000000, 'unixepoch') || printf('.%06dZ', l.stamp % 1000000) AS stamp, l.stamp AS stamp_us
    FROM state_latest l JOIN minions m ON m.id = l.minion_id JOIN masters ma ON ma.id = m.master_id JOIN states s ON s.id = l.state_id
        JOIN jobs j ON j.id = l.job_id JOIN outcome_names o ON o.code = l.outcome;

CREATE VIEW v1_events AS
    SELECT ma.name AS master, e.tag, m.name AS minion, strftime('%Y-%m-%dT%H:%M:%S', nullif(e.stamp, 0) / 1000000, 'unixepoch') || printf('.%06dZ', e.stamp % 1000000) AS stamp, e.stamp AS stamp_us
    FROM events e JOIN masters ma ON ma.id = e.master_id LEFT JOIN minions m ON m.id = e.minion_id;

CREATE VIEW v1_runs AS
    SELECT r.id AS run_id, r.head ->> '$.master' AS master, r.kind, r.status, r.head ->> '$.function' AS function, nullif(r.assignment, '') AS assignment,
        nullif(r."user", '') AS username, nullif(r.parent, '') AS parent, nullif(r.retry_of, '') AS retry_of, r.head ->> '$.message' AS message,
        strftime('%Y-%m-%dT%H:%M:%S', nullif(r.created, 0) / 1000000, 'unixepoch') || printf('.%06dZ', r.created % 1000000) AS created,
        substr(r.head ->> '$.started', 1, 19) || '.' || substr(ltrim(rtrim(substr(r.head ->> '$.started', 20), 'Z'), '.') || '000000', 1, 6) || 'Z' AS started,
        substr(r.head ->> '$.ended', 1, 19) || '.' || substr(ltrim(rtrim(substr(r.head ->> '$.ended', 20), 'Z'), '.') || '000000', 1, 6) || 'Z' AS ended,
        r.created AS created_us
    FROM runs r;

CREATE VIEW v1_run_minions AS
    SELECT u.run_id, u.minion, o.name AS outcome, nullif(u.jid, '') AS jid, u.slice, u.retcode, nullif(u.message, '') AS message, u.late,
        strftime('%Y-%m-%dT%H:%M:%S', nullif(u.at, 0) / 1000000, 'unixepoch') || printf('.%06dZ', u.at % 1000000) AS at, u.at AS at_us
    FROM run_minions u JOIN outcome_names o ON o.code = u.outcome;

-- +goose Down

DROP VIEW v1_run_minions;
DROP VIEW v1_runs;
DROP VIEW v1_events;
DROP VIEW v1_latest_states;
DROP VIEW v1_states;
DROP VIEW v1_returns;
DROP VIEW v1_jobs;
DROP TABLE origin_names;
DROP TABLE source_names;
DROP TABLE outcome_names;
