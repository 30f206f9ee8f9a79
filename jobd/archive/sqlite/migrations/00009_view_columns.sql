-- The views have what became known of returns, events and states since they were made, in columns at their end.

-- +goose Up

DROP VIEW v1_returns;
CREATE VIEW v1_returns AS
    SELECT ma.name AS master, j.jid, m.name AS minion, c.function, o.name AS outcome, r.retcode, r.success, nullif(r.message, '') AS message,
        nullif(c.run_id, '') AS run_id, c.test, so.name AS source, r.states, r.unclean AS unclean_states,
        strftime('%Y-%m-%dT%H:%M:%S', nullif(r.stamp, 0) / 1000000, 'unixepoch') || printf('.%06dZ', r.stamp % 1000000) AS stamp, r.stamp AS stamp_us,
        r.duration AS duration_us, r.truncated IS NOT NULL AS truncated, r.truncated ->> '$.size' AS whole_size, r.truncated ->> '$.sha256' AS whole_sha256
    FROM returns r JOIN jobs j ON j.id = r.job_id JOIN masters ma ON ma.id = j.master_id JOIN minions m ON m.id = r.minion_id
        JOIN calls c ON c.id = r.call_id JOIN outcome_names o ON o.code = r.outcome JOIN source_names so ON so.code = r.source;

DROP VIEW v1_latest_states;
CREATE VIEW v1_latest_states AS
    SELECT ma.name AS master, m.name AS minion, s.state, nullif(s.sls, '') AS sls, o.name AS outcome, l.test, j.jid,
        strftime('%Y-%m-%dT%H:%M:%S', nullif(l.stamp, 0) / 1000000, 'unixepoch') || printf('.%06dZ', l.stamp % 1000000) AS stamp, l.stamp AS stamp_us,
        l.duration AS duration_us
    FROM state_latest l JOIN minions m ON m.id = l.minion_id JOIN masters ma ON ma.id = m.master_id JOIN states s ON s.id = l.state_id
        JOIN jobs j ON j.id = l.job_id JOIN outcome_names o ON o.code = l.outcome;

DROP VIEW v1_events;
CREATE VIEW v1_events AS
    SELECT ma.name AS master, e.tag, m.name AS minion, strftime('%Y-%m-%dT%H:%M:%S', nullif(e.stamp, 0) / 1000000, 'unixepoch') || printf('.%06dZ', e.stamp % 1000000) AS stamp, e.stamp AS stamp_us,
        e.suspect, e.truncated IS NOT NULL AS truncated, e.truncated ->> '$.size' AS whole_size, e.truncated ->> '$.sha256' AS whole_sha256
    FROM events e JOIN masters ma ON ma.id = e.master_id LEFT JOIN minions m ON m.id = e.minion_id;

-- +goose Down

DROP VIEW v1_events;
CREATE VIEW v1_events AS
    SELECT ma.name AS master, e.tag, m.name AS minion, strftime('%Y-%m-%dT%H:%M:%S', nullif(e.stamp, 0) / 1000000, 'unixepoch') || printf('.%06dZ', e.stamp % 1000000) AS stamp, e.stamp AS stamp_us
    FROM events e JOIN masters ma ON ma.id = e.master_id LEFT JOIN minions m ON m.id = e.minion_id;

DROP VIEW v1_latest_states;
CREATE VIEW v1_latest_states AS
    SELECT ma.name AS master, m.name AS minion, s.state, nullif(s.sls, '') AS sls, o.name AS outcome, l.test, j.jid,
        strftime('%Y-%m-%dT%H:%M:%S', nullif(l.stamp, 0) / 1000000, 'unixepoch') || printf('.%06dZ', l.stamp % 1000000) AS stamp, l.stamp AS stamp_us
    FROM state_latest l JOIN minions m ON m.id = l.minion_id JOIN masters ma ON ma.id = m.master_id JOIN states s ON s.id = l.state_id
        JOIN jobs j ON j.id = l.job_id JOIN outcome_names o ON o.code = l.outcome;

DROP VIEW v1_returns;
CREATE VIEW v1_returns AS
    SELECT ma.name AS master, j.jid, m.name AS minion, c.function, o.name AS outcome, r.retcode, r.success, nullif(r.message, '') AS message,
        nullif(c.run_id, '') AS run_id, c.test, so.name AS source, r.states, r.unclean AS unclean_states,
        strftime('%Y-%m-%dT%H:%M:%S', nullif(r.stamp, 0) / 1000000, 'unixepoch') || printf('.%06dZ', r.stamp % 1000000) AS stamp, r.stamp AS stamp_us
    FROM returns r JOIN jobs j ON j.id = r.job_id JOIN masters ma ON ma.id = j.master_id JOIN minions m ON m.id = r.minion_id
        JOIN calls c ON c.id = r.call_id JOIN outcome_names o ON o.code = r.outcome JOIN source_names so ON so.code = r.source;
