-- The views have what became known of returns, events and states since they were made, in columns at their end. They are replaced where
-- they are, so that who may read them still may.

-- +goose Up

-- +goose StatementBegin
DO $$
DECLARE
    place text := quote_ident(CASE current_schema() WHEN 'public' THEN 'gaea' ELSE current_schema() END || '_v1');
BEGIN
    EXECUTE 'CREATE OR REPLACE VIEW ' || place || '.returns AS ' || $view$
    SELECT ma.name AS master, j.jid, m.name AS minion, c.function, o.name AS outcome, r.retcode, r.success, nullif(r.message, '') AS message,
        nullif(c.run_id, '') AS run_id, c.test, so.name AS source, r.states, r.unclean AS unclean_states,
        timestamptz 'epoch' + nullif(r.stamp, 0) * interval '1 microsecond' AS stamp, r.stamp AS stamp_us,
        r.duration AS duration_us, r.truncated IS NOT NULL AS truncated, (r.truncated::json ->> 'size')::bigint AS whole_size, (r.truncated::json ->> 'sha256') COLLATE "C" AS whole_sha256
    FROM returns r JOIN jobs j ON j.id = r.job_id JOIN masters ma ON ma.id = j.master_id JOIN minions m ON m.id = r.minion_id
        JOIN calls c ON c.id = r.call_id JOIN outcome_names o ON o.code = r.outcome JOIN source_names so ON so.code = r.source $view$;

    EXECUTE 'CREATE OR REPLACE VIEW ' || place || '.latest_states AS ' || $view$
    SELECT ma.name AS master, m.name AS minion, s.state, nullif(s.sls, '') AS sls, o.name AS outcome, l.test, j.jid,
        timestamptz 'epoch' + nullif(l.stamp, 0) * interval '1 microsecond' AS stamp, l.stamp AS stamp_us, l.duration AS duration_us
    FROM state_latest l JOIN minions m ON m.id = l.minion_id JOIN masters ma ON ma.id = m.master_id JOIN states s ON s.id = l.state_id
        JOIN jobs j ON j.id = l.job_id JOIN outcome_names o ON o.code = l.outcome $view$;

    EXECUTE 'CREATE OR REPLACE VIEW ' || place || '.events AS ' || $view$
    SELECT ma.name AS master, e.tag, m.name AS minion, timestamptz 'epoch' + nullif(e.stamp, 0) * interval '1 microsecond' AS stamp, e.stamp AS stamp_us,
        e.suspect, e.truncated IS NOT NULL AS truncated, (e.truncated::json ->> 'size')::bigint AS whole_size, (e.truncated::json ->> 'sha256') COLLATE "C" AS whole_sha256
    FROM events e JOIN masters ma ON ma.id = e.master_id LEFT JOIN minions m ON m.id = e.minion_id $view$;

    -- Type json reads no text in which there is a zero byte, or half of a character, anywhere: those are replaced, a zero byte by the
    -- escape that it has in other texts (postgres/text.go). A backslash that is escaped itself begins none.
    EXECUTE 'CREATE OR REPLACE VIEW ' || place || '.runs AS ' || $view$
    SELECT r.id AS run_id, (h.head ->> 'master') AS master, r.kind, r.status, (h.head ->> 'function') AS function, nullif(r.assignment, '') AS assignment,
        nullif(r."user", '') AS username, nullif(r.parent, '') AS parent, nullif(r.retry_of, '') AS retry_of, (h.head ->> 'message') AS message,
        timestamptz 'epoch' + nullif(r.created, 0) * interval '1 microsecond' AS created,
        (h.head ->> 'started')::timestamptz AS started,
        (h.head ->> 'ended')::timestamptz AS ended,
        r.created AS created_us
    FROM runs r CROSS JOIN LATERAL (SELECT CASE WHEN r.head ~ '\\u(0000|[dD][89a-fA-F])' THEN
            regexp_replace(regexp_replace(r.head, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\u0001\\u0001', 'g'), '(?<!\\)((?:\\\\)*)\\u[dD][89a-fA-F][0-9a-fA-F]{2}', '\1\\ufffd', 'g')
            ELSE r.head END::json AS head) h $view$;
END $$;
-- +goose StatementEnd

-- +goose Down

-- +goose StatementBegin
DO $$
DECLARE
    place text := quote_ident(CASE current_schema() WHEN 'public' THEN 'gaea' ELSE current_schema() END || '_v1');
BEGIN
    EXECUTE 'DROP VIEW ' || place || '.events';
    EXECUTE 'CREATE VIEW ' || place || '.events AS ' || $view$
    SELECT ma.name AS master, e.tag, m.name AS minion, timestamptz 'epoch' + nullif(e.stamp, 0) * interval '1 microsecond' AS stamp, e.stamp AS stamp_us
    FROM events e JOIN masters ma ON ma.id = e.master_id LEFT JOIN minions m ON m.id = e.minion_id $view$;

    EXECUTE 'DROP VIEW ' || place || '.latest_states';
    EXECUTE 'CREATE VIEW ' || place || '.latest_states AS ' || $view$
    SELECT ma.name AS master, m.name AS minion, s.state, nullif(s.sls, '') AS sls, o.name AS outcome, l.test, j.jid,
        timestamptz 'epoch' + nullif(l.stamp, 0) * interval '1 microsecond' AS stamp, l.stamp AS stamp_us
    FROM state_latest l JOIN minions m ON m.id = l.minion_id JOIN masters ma ON ma.id = m.master_id JOIN states s ON s.id = l.state_id
        JOIN jobs j ON j.id = l.job_id JOIN outcome_names o ON o.code = l.outcome $view$;

    EXECUTE 'DROP VIEW ' || place || '.returns';
    EXECUTE 'CREATE VIEW ' || place || '.returns AS ' || $view$
    SELECT ma.name AS master, j.jid, m.name AS minion, c.function, o.name AS outcome, r.retcode, r.success, nullif(r.message, '') AS message,
        nullif(c.run_id, '') AS run_id, c.test, so.name AS source, r.states, r.unclean AS unclean_states,
        timestamptz 'epoch' + nullif(r.stamp, 0) * interval '1 microsecond' AS stamp, r.stamp AS stamp_us
    FROM returns r JOIN jobs j ON j.id = r.job_id JOIN masters ma ON ma.id = j.master_id JOIN minions m ON m.id = r.minion_id
        JOIN calls c ON c.id = r.call_id JOIN outcome_names o ON o.code = r.outcome JOIN source_names so ON so.code = r.source $view$;

    EXECUTE 'CREATE OR REPLACE VIEW ' || place || '.runs AS ' || $view$
    SELECT r.id AS run_id, (h.head ->> 'master') AS master, r.kind, r.status, (h.head ->> 'function') AS function, nullif(r.assignment, '') AS assignment,
        nullif(r."user", '') AS username, nullif(r.parent, '') AS parent, nullif(r.retry_of, '') AS retry_of, (h.head ->> 'message') AS message,
        timestamptz 'epoch' + nullif(r.created, 0) * interval '1 microsecond' AS created,
        (h.head ->> 'started')::timestamptz AS started,
        (h.head ->> 'ended')::timestamptz AS ended,
        r.created AS created_us
    FROM runs r CROSS JOIN LATERAL (SELECT CASE WHEN strpos(r.head, '\u0000') = 0 THEN r.head::json END AS head) h $view$;
END $$;
-- +goose StatementEnd
