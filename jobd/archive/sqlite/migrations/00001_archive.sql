-- The archive. Times are microseconds since 1970 in UTC, 0 for none; outcomes and sources are numbers that codes.go names.
-- What repeats in every row is a number here and a text once: masters, minions, states, calls, contents.

-- +goose Up

CREATE TABLE masters (
    id         INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    last_stamp INTEGER NOT NULL DEFAULT 0,
    jobs       INTEGER NOT NULL DEFAULT 0, -- how many rows are stored, so that nobody has to count them
    returns    INTEGER NOT NULL DEFAULT 0,
    events     INTEGER NOT NULL DEFAULT 0
) STRICT;

-- How many rows a large table has.
CREATE TABLE totals (
    name TEXT    PRIMARY KEY,
    rows INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO totals VALUES ('contents', 0);

CREATE TABLE minions (
    id        INTEGER PRIMARY KEY,
    master_id INTEGER NOT NULL REFERENCES masters (id),
    name      TEXT    NOT NULL,
    UNIQUE (master_id, name)
) STRICT;

-- A keyed digest of SLS list, pillar and environment. asked is when somebody last wanted its evidence.
CREATE TABLE state_keys (
    id        INTEGER PRIMARY KEY,
    master_id INTEGER NOT NULL REFERENCES masters (id),
    state_key TEXT    NOT NULL,
    asked     INTEGER NOT NULL DEFAULT 0,
    UNIQUE (master_id, state_key)
) STRICT;

-- What was run: the same for a job and each of its returns, and mostly for many jobs.
CREATE TABLE calls (
    id           INTEGER PRIMARY KEY,
    digest       BLOB    NOT NULL UNIQUE,
    refs         INTEGER NOT NULL, -- jobs and returns that point here
    function     TEXT    NOT NULL,
    args         TEXT,
    metadata     TEXT,
    run_id       TEXT    NOT NULL,
    state_key_id INTEGER REFERENCES state_keys (id),
    test         INTEGER NOT NULL
) STRICT;
CREATE INDEX calls_unused ON calls (id) WHERE refs = 0;
CREATE INDEX calls_state_key ON calls (state_key_id) WHERE state_key_id IS NOT NULL;

-- A sorted list of minions, stored once: the minions of "*" are the same in every job.
CREATE TABLE minion_sets (
    id     INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE
) STRICT;

CREATE TABLE minion_set_members (
    set_id    INTEGER NOT NULL REFERENCES minion_sets (id) ON DELETE CASCADE,
    minion_id INTEGER NOT NULL REFERENCES minions (id),
    PRIMARY KEY (set_id, minion_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
    id          INTEGER PRIMARY KEY,
    master_id   INTEGER NOT NULL REFERENCES masters (id),
    jid         TEXT    NOT NULL,
    known       INTEGER NOT NULL, -- a publication was seen
    source      INTEGER NOT NULL,
    started     INTEGER NOT NULL,
    head        TEXT    NOT NULL, -- not known: the minion whose return told function and time
    call_id     INTEGER NOT NULL REFERENCES calls (id),
    function    TEXT    NOT NULL, -- as in the call, for the indexes
    run_id      TEXT    NOT NULL,
    target_type TEXT    NOT NULL,
    target      TEXT    NOT NULL, -- the expression; empty for a list, which is in job_minions
    user        TEXT    NOT NULL,
    UNIQUE (master_id, jid)
) STRICT;
CREATE INDEX jobs_started ON jobs (started);
CREATE INDEX jobs_function ON jobs (function, started);
CREATE INDEX jobs_user ON jobs (user, started);
CREATE INDEX jobs_target ON jobs (target, started);
CREATE INDEX jobs_run ON jobs (run_id, started) WHERE run_id <> '';
CREATE INDEX jobs_call ON jobs (call_id);

-- The minions that a job expects (role 0), that the master does not know (1), and that were listed as its target (2). A
-- job that was published in several parts has several sets.
CREATE TABLE job_minions (
    job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    role   INTEGER NOT NULL,
    set_id INTEGER NOT NULL REFERENCES minion_sets (id),
    PRIMARY KEY (job_id, role, set_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_minions_set ON job_minions (set_id, role);

-- What a function returned, once: without what differs each time (durations, start times, process ids).
CREATE TABLE contents (
    id     INTEGER PRIMARY KEY,
    digest BLOB    NOT NULL UNIQUE,
    refs   INTEGER NOT NULL -- returns that point here
) STRICT;
CREATE INDEX contents_unused ON contents (id) WHERE refs = 0;

-- Apart from contents, so that counting references does not rewrite bodies.
CREATE TABLE content_bodies (
    content_id INTEGER PRIMARY KEY,
    body       TEXT NOT NULL,
    holes      BLOB            -- where the values of returns.cuts go
) STRICT;

CREATE TABLE returns (
    job_id     INTEGER NOT NULL REFERENCES jobs (id),
    minion_id  INTEGER NOT NULL REFERENCES minions (id),
    stamp      INTEGER NOT NULL,
    outcome    INTEGER NOT NULL,
    source     INTEGER NOT NULL,
    call_id    INTEGER NOT NULL, -- counted in calls.refs
    content_id INTEGER,          -- counted in contents.refs; no body where null
    retcode    INTEGER,
    success    INTEGER,
    message    TEXT,
    states     INTEGER NOT NULL, -- how many states
    unclean    INTEGER NOT NULL, -- how many of them are in state_results
    cuts       TEXT,             -- what was cut out of the body, one value a line
    state_list TEXT,             -- the states, where they do not follow from the body
    PRIMARY KEY (job_id, minion_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX returns_stamp ON returns (stamp);
CREATE INDEX returns_minion ON returns (minion_id, stamp);
CREATE INDEX returns_outcome ON returns (outcome, stamp);

-- Salt's key of a state, with the SLS that declared it.
CREATE TABLE states (
    id        INTEGER PRIMARY KEY,
    state     TEXT    NOT NULL,
    sls       TEXT    NOT NULL,
    UNIQUE (state, sls)
) STRICT;
CREATE INDEX states_sls ON states (sls);

-- The states of a return that are not clean.
CREATE TABLE state_results (
    job_id    INTEGER NOT NULL,
    minion_id INTEGER NOT NULL,
    place     INTEGER NOT NULL, -- among the return's states, from 0
    state_id  INTEGER NOT NULL REFERENCES states (id),
    outcome   INTEGER NOT NULL,
    PRIMARY KEY (job_id, minion_id, place),
    FOREIGN KEY (job_id, minion_id) REFERENCES returns (job_id, minion_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX state_results_state ON state_results (state_id);

-- How each state stood on each minion when it was last run or tested.
CREATE TABLE state_latest (
    minion_id INTEGER NOT NULL REFERENCES minions (id),
    state_id  INTEGER NOT NULL REFERENCES states (id),
    stamp     INTEGER NOT NULL,
    job_id    INTEGER NOT NULL,
    outcome   INTEGER NOT NULL,
    test      INTEGER NOT NULL,
    PRIMARY KEY (minion_id, state_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX state_latest_state ON state_latest (state_id);
-- 3 is in_sync: a state that stays clean does not touch this.
CREATE INDEX state_latest_unclean ON state_latest (outcome, minion_id, state_id) WHERE outcome <> 3;

-- The newest return of each minion for each state key.
CREATE TABLE evidence (
    state_key_id INTEGER NOT NULL REFERENCES state_keys (id),
    minion_id    INTEGER NOT NULL REFERENCES minions (id),
    stamp        INTEGER NOT NULL,
    jid          TEXT    NOT NULL,
    job_id       INTEGER NOT NULL,
    PRIMARY KEY (state_key_id, minion_id)
) STRICT, WITHOUT ROWID;

-- The last time that a minion did not answer a check of a state key.
CREATE TABLE silences (
    state_key_id INTEGER NOT NULL REFERENCES state_keys (id),
    minion_id    INTEGER NOT NULL REFERENCES minions (id),
    stamp        INTEGER NOT NULL,
    jid          TEXT    NOT NULL,
    PRIMARY KEY (state_key_id, minion_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    id        INTEGER PRIMARY KEY,
    master_id INTEGER NOT NULL REFERENCES masters (id),
    stamp     INTEGER NOT NULL,
    tag       TEXT    NOT NULL,
    digest    BLOB    NOT NULL,
    minion_id INTEGER REFERENCES minions (id),
    data      TEXT,
    UNIQUE (stamp, tag, digest, master_id)
) STRICT;
CREATE INDEX events_tag ON events (tag, stamp);
CREATE INDEX events_minion ON events (minion_id, stamp) WHERE minion_id IS NOT NULL;

CREATE TABLE gaps (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    master_id INTEGER NOT NULL REFERENCES masters (id),
    since     INTEGER NOT NULL,
    until     INTEGER,          -- null while it is open
    recovered INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX gaps_open ON gaps (master_id, since) WHERE until IS NULL;

CREATE TABLE runs (
    id          TEXT    PRIMARY KEY,
    created     INTEGER NOT NULL,
    kind        TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    assignment  TEXT    NOT NULL,
    user        TEXT    NOT NULL,
    active      INTEGER NOT NULL, -- not final, or its check is pending
    head        TEXT    NOT NULL, -- the run as JSON, without slices, minions and call
    call        BLOB,             -- what is published, sealed
    allow_empty INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX runs_created ON runs (created, id);
CREATE INDEX runs_assignment ON runs (assignment, created, id) WHERE assignment <> '';
CREATE INDEX runs_active ON runs (created, id) WHERE active;

CREATE TABLE run_slices (
    run_id  TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    place   INTEGER NOT NULL,
    slice   TEXT    NOT NULL, -- as JSON
    PRIMARY KEY (run_id, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE run_minions (
    run_id  TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    minion  TEXT    NOT NULL,
    outcome INTEGER NOT NULL,
    jid     TEXT    NOT NULL,
    slice   INTEGER NOT NULL,
    retcode INTEGER,
    message TEXT    NOT NULL,
    late    INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (run_id, minion)
) STRICT, WITHOUT ROWID;

-- Idempotency keys: which run a user's key made.
CREATE TABLE run_keys (
    user    TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    run_id  TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    digest  TEXT    NOT NULL, -- of what was asked for
    created INTEGER NOT NULL,
    PRIMARY KEY (user, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_keys_run ON run_keys (run_id);

CREATE TABLE definitions (
    kind    TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    number  INTEGER NOT NULL,
    digest  TEXT    NOT NULL,
    owner   TEXT    NOT NULL,
    author  TEXT    NOT NULL,
    created INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    latest  INTEGER NOT NULL,
    body    TEXT    NOT NULL, -- as JSON
    PRIMARY KEY (kind, name, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX definitions_digest ON definitions (kind, name, digest);
CREATE UNIQUE INDEX definitions_latest ON definitions (kind, name) WHERE latest;

CREATE TABLE secret_pillars (
    assignment TEXT NOT NULL,
    version    TEXT NOT NULL,
    sealed     BLOB NOT NULL,
    PRIMARY KEY (assignment, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE unsettled (
    assignment TEXT    NOT NULL,
    revision   TEXT    NOT NULL,
    minion     TEXT    NOT NULL,
    label      TEXT    NOT NULL,
    digest     TEXT    NOT NULL,
    recorded   INTEGER NOT NULL,
    PRIMARY KEY (assignment, revision, minion, label)
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    id      TEXT    PRIMARY KEY,
    name    TEXT    NOT NULL,
    role    TEXT    NOT NULL,
    hash    BLOB    NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
