-- What people may ask with SQL tools: the views' names, columns and types stay, whatever becomes of the tables. docs/guides/sql.md
-- tells what they mean. They are in a schema of their own, gaea_v1, so that one grant opens them and nothing else; where the archive
-- is in a schema that has a name, theirs is named after it. Bodies, arguments and the data of events are not in them.

-- +goose Up

-- The numbers of tables/codes.go by name.
CREATE TABLE outcome_names (
    code smallint PRIMARY KEY,
    name text COLLATE "C" -- null for none
);
INSERT INTO outcome_names VALUES
    (0, NULL), (1, 'pending'), (2, 'succeeded'), (3, 'in_sync'), (4, 'changed'), (5, 'would_change'),
    (6, 'failed'), (7, 'could_not_run'), (8, 'no_return'), (9, 'unreachable'), (10, 'killed'), (11, 'skipped');

CREATE TABLE source_names (
    code smallint PRIMARY KEY,
    name text COLLATE "C" -- null for none
);
INSERT INTO source_names VALUES
    (0, NULL), (1, 'bus'), (2, 'cache');

CREATE TABLE origin_names (
    code smallint PRIMARY KEY,
    name text COLLATE "C" -- null for none
);
INSERT INTO origin_names VALUES
    (0, NULL), (1, 'publish'), (2, 'batch'), (3, 'runner'), (4, 'orchestration'), (5, 'salt-call'),
    (6, 'schedule'), (7, 'salt-ssh');

-- For conditions that an index serves: WHERE stamp_us >= gaea_v1.us(now() - interval '7 days').
CREATE FUNCTION us(at timestamptz) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT (extract(epoch FROM at) * 1000000)::bigint';

CREATE VIEW v1_jobs AS
    SELECT ma.name AS master, j.jid, j.function, nullif(j.target_type, '') AS target_type,
        CASE WHEN j.target_type = 'list' THEN (SELECT string_agg(DISTINCT lm.name, ',' ORDER BY lm.name)
                FROM job_minions jm JOIN minion_set_members s ON s.set_id = jm.set_id JOIN minions lm ON lm.id = s.minion_id
                WHERE jm.job_id = j.id AND jm.role = 2)
            ELSE nullif(j.target, '') END AS target,
        nullif(j."user", '') AS username, nullif(j.run_id, '') AS run_id, CASE WHEN n.batch IS NULL THEN o.name ELSE 'batch' END AS origin, nullif(n.parent, '') AS parent,
        nullif(n.schedule, '') AS schedule, c.test, j.known, so.name AS source,
        (SELECT count(DISTINCT s.minion_id) FROM job_minions jm JOIN minion_set_members s ON s.set_id = jm.set_id
            WHERE jm.job_id = j.id AND jm.role = 0) AS expected,
        timestamptz 'epoch' + nullif(j.started, 0) * interval '1 microsecond' AS started, j.started AS started_us
    FROM jobs j JOIN masters ma ON ma.id = j.master_id JOIN calls c ON c.id = j.call_id JOIN source_names so ON so.code = j.source
        JOIN origin_names o ON o.code = j.origin LEFT JOIN job_notes n ON n.digest = j.digest;

CREATE VIEW v1_returns AS
    SELECT ma.name AS master, j.jid, m.name AS minion, c.function, o.name AS outcome, r.retcode, r.success, nullif(r.message, '') AS message,
        nullif(c.run_id, '') AS run_id, c.test, so.name AS source, r.states, r.unclean AS unclean_states,
        timestamptz 'epoch' + nullif(r.stamp, 0) * interval '1 microsecond' AS stamp, r.stamp AS stamp_us
    FROM returns r JOIN jobs j ON j.id = r.job_id JOIN masters ma ON ma.id = j.master_id JOIN minions m ON m.id = r.minion_id
        JOIN calls c ON c.id = r.call_id JOIN outcome_names o ON o.code = r.outcome JOIN source_names so ON so.code = r.source;

CREATE VIEW v1_states AS
    SELECT ma.name AS master, j.jid, m.name AS minion, s.state, nullif(s.sls, '') AS sls, x.place, o.name AS outcome, c.test,
        timestamptz 'epoch' + nullif(r.stamp, 0) * interval '1 microsecond' AS stamp, r.stamp AS stamp_us
    FROM state_results x JOIN returns r ON r.job_id = x.job_id AND r.minion_id = x.minion_id JOIN jobs j ON j.id = x.job_id
        JOIN masters ma ON ma.id = j.master_id JOIN minions m ON m.id = x.minion_id JOIN states s ON s.id = x.state_id
        JOIN calls c ON c.id = r.call_id JOIN outcome_names o ON o.code = x.outcome;

CREATE VIEW v1_latest_states AS
    SELECT ma.name AS master, m.name AS minion, s.state, nullif(s.sls, '') AS sls, o.name AS outcome, l.test, j.jid,
        timestamptz 'epoch' + nullif(l.stamp, 0) * interval '1 microsecond' AS stamp, l.stamp AS stamp_us
    FROM state_latest l JOIN minions m ON m.id = l.minion_id JOIN masters ma ON ma.id = m.master_id JOIN states s ON s.id = l.state_id
        JOIN jobs j ON j.id = l.job_id JOIN outcome_names o ON o.code = l.outcome;

CREATE VIEW v1_events AS
    SELECT ma.name AS master, e.tag, m.name AS minion, timestamptz 'epoch' + nullif(e.stamp, 0) * interval '1 microsecond' AS stamp, e.stamp AS stamp_us
    FROM events e JOIN masters ma ON ma.id = e.master_id LEFT JOIN minions m ON m.id = e.minion_id;

CREATE VIEW v1_runs AS
    SELECT r.id AS run_id, (h.head ->> 'master') AS master, r.kind, r.status, (h.head ->> 'function') AS function, nullif(r.assignment, '') AS assignment,
        nullif(r."user", '') AS username, nullif(r.parent, '') AS parent, nullif(r.retry_of, '') AS retry_of, (h.head ->> 'message') AS message,
        timestamptz 'epoch' + nullif(r.created, 0) * interval '1 microsecond' AS created,
        (h.head ->> 'started')::timestamptz AS started,
        (h.head ->> 'ended')::timestamptz AS ended,
        r.created AS created_us
    FROM runs r -- json refuses zero bytes
        CROSS JOIN LATERAL (SELECT CASE WHEN strpos(r.head, '\u0000') = 0 THEN r.head::json END AS head) h;

CREATE VIEW v1_run_minions AS
    SELECT u.run_id, u.minion, o.name AS outcome, nullif(u.jid, '') AS jid, u.slice, u.retcode, nullif(u.message, '') AS message, u.late,
        timestamptz 'epoch' + nullif(u.at, 0) * interval '1 microsecond' AS at, u.at AS at_us
    FROM run_minions u JOIN outcome_names o ON o.code = u.outcome;

-- +goose StatementBegin
DO $$
DECLARE
    place text := CASE current_schema() WHEN 'public' THEN 'gaea' ELSE current_schema() END || '_v1';
    name  text;
BEGIN
    -- One that is there already was made for jobd, which so needs no right to make schemas.
    IF to_regnamespace(quote_ident(place)) IS NULL THEN
        EXECUTE format('CREATE SCHEMA %I', place);
    END IF;
    EXECUTE format('ALTER FUNCTION us(timestamptz) SET SCHEMA %I', place);
    FOREACH name IN ARRAY ARRAY['jobs', 'returns', 'states', 'latest_states', 'events', 'runs', 'run_minions'] LOOP
        EXECUTE format('ALTER VIEW %I SET SCHEMA %I', 'v1_' || name, place);
        EXECUTE format('ALTER VIEW %I.%I RENAME TO %I', place, 'v1_' || name, name);
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose Down

-- +goose StatementBegin
DO $$
BEGIN
    EXECUTE format('DROP SCHEMA %I CASCADE', CASE current_schema() WHEN 'public' THEN 'gaea' ELSE current_schema() END || '_v1');
END $$;
-- +goose StatementEnd
DROP TABLE outcome_names, source_names, origin_names;
