-- The archive in PostgreSQL, table by table what it is in SQLite. Times are microseconds since 1970 in UTC, 0 for none; outcomes,
-- sources and origins are numbers that tables/codes.go names. Names are found by a digest, because an index cannot hold a text
-- of any length. Texts have no zero bytes, which PostgreSQL refuses: text.go says how they are written.

-- +goose Up

-- What holds for the whole archive: key_check tells whether a key file is the one that secrets are sealed with.
CREATE TABLE settings (
    name  text COLLATE "C" PRIMARY KEY,
    value text COLLATE "C" NOT NULL
);

-- How often something was deleted that a jobd may remember, a partition among it, and how many contents were.
CREATE TABLE pruned (
    steps    bigint NOT NULL,
    drops    bigint NOT NULL,
    contents bigint NOT NULL
);
INSERT INTO pruned VALUES (0, 0, 0);

CREATE TABLE masters (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest     bytea  NOT NULL UNIQUE,
    name       text   COLLATE "C" NOT NULL,
    last_stamp bigint NOT NULL DEFAULT 0,
    jobs       bigint NOT NULL DEFAULT 0, -- how many rows are stored, so that nobody has to count them
    returns    bigint NOT NULL DEFAULT 0,
    events     bigint NOT NULL DEFAULT 0,
    contents   bigint NOT NULL DEFAULT 0  -- how many this master has brought; those that went are in pruned
) WITH (fillfactor = 50);

CREATE TABLE minions (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest    bytea  NOT NULL UNIQUE,
    master_id bigint NOT NULL,
    name      text   COLLATE "C" NOT NULL
);
CREATE INDEX minions_name ON minions (left(name, 100));

-- A keyed digest of SLS list, pillar and environment. asked is when somebody last wanted its evidence.
CREATE TABLE state_keys (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest    bytea  NOT NULL UNIQUE,
    master_id bigint NOT NULL,
    state_key text   COLLATE "C" NOT NULL,
    asked     bigint NOT NULL DEFAULT 0
);
CREATE INDEX state_keys_key ON state_keys (left(state_key, 100));

-- What was run: the same for a job and each of its returns, and mostly for many jobs.
CREATE TABLE calls (
    id           bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest       bytea   NOT NULL UNIQUE,
    refs         bigint  NOT NULL, -- jobs and returns that point here
    function     text    COLLATE "C" NOT NULL,
    args         bytea,
    metadata     bytea,
    run_id       text    COLLATE "C" NOT NULL,
    state_key_id bigint,
    test         boolean NOT NULL
);
CREATE INDEX calls_unused ON calls (id) WHERE refs = 0;
CREATE INDEX calls_state_key ON calls (state_key_id) WHERE state_key_id IS NOT NULL;

-- A sorted list of minions, stored once: the minions of "*" are the same in every job.
CREATE TABLE minion_sets (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest bytea  NOT NULL UNIQUE
);

CREATE TABLE minion_set_members (
    set_id    bigint NOT NULL REFERENCES minion_sets (id) ON DELETE CASCADE,
    minion_id bigint NOT NULL,
    PRIMARY KEY (set_id, minion_id)
);

-- A job's number begins with its day, by which its returns are kept: day * 2^40 + the next of this sequence. Day 0 is for
-- jobs whose day has no partition.
CREATE SEQUENCE job_numbers;

CREATE TABLE jobs (
    id          bigint   PRIMARY KEY,
    digest      bytea    NOT NULL UNIQUE, -- of master and jid
    master_id   bigint   NOT NULL,
    jid         text     COLLATE "C" NOT NULL,
    known       boolean  NOT NULL, -- a publication was seen
    source      smallint NOT NULL,
    started     bigint   NOT NULL,
    head        text     COLLATE "C" NOT NULL, -- not known: the minion whose return told function and time
    call_id     bigint   NOT NULL,
    function    text     COLLATE "C" NOT NULL, -- as in the call, for the indexes
    run_id      text     COLLATE "C" NOT NULL,
    target_type text     COLLATE "C" NOT NULL,
    target      text     COLLATE "C" NOT NULL, -- the expression; empty for a list, which is in job_minions
    "user"      text     COLLATE "C" NOT NULL,
    origin      smallint NOT NULL
);
CREATE INDEX jobs_jid ON jobs (left(jid, 100));
CREATE INDEX jobs_started ON jobs (started, id);
CREATE INDEX jobs_function ON jobs (left(function, 100), started, id);
CREATE INDEX jobs_user ON jobs (left("user", 100), started, id);
CREATE INDEX jobs_target ON jobs (left(target, 100), started, id);
CREATE INDEX jobs_run ON jobs (left(run_id, 100), started) WHERE run_id <> '';

-- The minions that a job expects (role 0), that the master does not know (1), and that were listed as its target (2).
CREATE TABLE job_minions (
    job_id bigint   NOT NULL REFERENCES jobs (id) ON DELETE CASCADE ON UPDATE CASCADE,
    role   smallint NOT NULL,
    set_id bigint   NOT NULL,
    PRIMARY KEY (job_id, role, set_id)
);
CREATE INDEX job_minions_set ON job_minions (set_id, role);

CREATE TABLE job_notes (
    digest    bytea  PRIMARY KEY, -- as of the job
    master_id bigint NOT NULL,
    jid       text   COLLATE "C" NOT NULL,
    stamp     bigint NOT NULL, -- when it was last told
    parent    text   COLLATE "C" NOT NULL, -- jid of the job that it belongs to
    schedule  text   COLLATE "C" NOT NULL, -- the entry of the minion's schedule that started it
    batch     text   COLLATE "C"           -- how it stands, as JSON, where it is one of Salt's own batches
);
CREATE INDEX job_notes_jid ON job_notes (left(jid, 100));
CREATE INDEX job_notes_parent ON job_notes (left(parent, 100)) WHERE parent <> '';
CREATE INDEX job_notes_stamp ON job_notes (stamp);

-- What a function returned, once: without what differs each time (durations, start times, process ids).
CREATE TABLE contents (
    id       bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest   bytea   NOT NULL UNIQUE,
    last_day integer NOT NULL, -- the last day whose returns point here, see prune.go
    body     bytea   NOT NULL,
    holes    bytea             -- where the values of returns.cuts go
);
CREATE INDEX contents_last_day ON contents (last_day);
CREATE VIEW content_bodies AS SELECT id AS content_id, body, holes FROM contents;

CREATE TABLE returns (
    job_id     bigint   NOT NULL,
    minion_id  bigint   NOT NULL,
    stamp      bigint   NOT NULL,
    outcome    smallint NOT NULL,
    source     smallint NOT NULL,
    call_id    bigint   NOT NULL, -- counted in calls.refs
    content_id bigint,            -- no body where null
    retcode    bigint,
    success    boolean,
    message    text     COLLATE "C",
    states     integer  NOT NULL, -- how many states
    unclean    integer  NOT NULL, -- how many of them are in state_results
    cuts       bytea,             -- what was cut out of the body, one value a line
    state_list bytea,             -- the states, where they do not follow from the body
    PRIMARY KEY (job_id, minion_id)
) PARTITION BY RANGE (job_id);
CREATE INDEX returns_stamp ON returns (stamp);
CREATE INDEX returns_minion ON returns (minion_id, stamp);
CREATE INDEX returns_outcome ON returns (outcome, stamp);
CREATE INDEX returns_content ON returns (content_id);
CREATE TABLE returns_other PARTITION OF returns DEFAULT;

-- Salt's key of a state, with the SLS that declared it.
CREATE TABLE states (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest bytea  NOT NULL UNIQUE,
    state  text   COLLATE "C" NOT NULL,
    sls    text   COLLATE "C" NOT NULL
);
CREATE INDEX states_sls ON states (left(sls, 100));

-- The states of a return that are not clean.
CREATE TABLE state_results (
    job_id    bigint   NOT NULL,
    minion_id bigint   NOT NULL,
    place     integer  NOT NULL, -- among the return's states, from 0
    state_id  bigint   NOT NULL,
    outcome   smallint NOT NULL,
    PRIMARY KEY (job_id, minion_id, place)
) PARTITION BY RANGE (job_id);
CREATE INDEX state_results_state ON state_results (state_id);
CREATE TABLE state_results_other PARTITION OF state_results DEFAULT;

-- How each state stood on each minion when it was last run or tested.
CREATE TABLE state_latest (
    minion_id bigint   NOT NULL,
    state_id  bigint   NOT NULL,
    stamp     bigint   NOT NULL,
    job_id    bigint   NOT NULL,
    outcome   smallint NOT NULL,
    test      boolean  NOT NULL,
    PRIMARY KEY (minion_id, state_id)
) WITH (fillfactor = 70);
CREATE INDEX state_latest_state ON state_latest (state_id);
-- 3 is in_sync: a state that stays clean does not touch this.
CREATE INDEX state_latest_unclean ON state_latest (outcome, minion_id, state_id) WHERE outcome <> 3;

-- The newest return of each minion for each state key.
CREATE TABLE evidence (
    state_key_id bigint NOT NULL,
    minion_id    bigint NOT NULL,
    stamp        bigint NOT NULL,
    jid          text   COLLATE "C" NOT NULL,
    job_id       bigint NOT NULL,
    PRIMARY KEY (state_key_id, minion_id)
) WITH (fillfactor = 70);

-- The last time that a minion did not answer a check of a state key.
CREATE TABLE silences (
    state_key_id bigint NOT NULL,
    minion_id    bigint NOT NULL,
    stamp        bigint NOT NULL,
    jid          text   COLLATE "C" NOT NULL,
    PRIMARY KEY (state_key_id, minion_id)
);

CREATE SEQUENCE event_numbers;

CREATE TABLE events (
    id        bigint NOT NULL DEFAULT nextval('event_numbers'),
    master_id bigint NOT NULL,
    stamp     bigint NOT NULL,
    digest    bytea  NOT NULL, -- of tag and data
    minion_id bigint,
    tag       text   COLLATE "C" NOT NULL,
    data      bytea,
    UNIQUE (stamp, digest, master_id)
) PARTITION BY RANGE (stamp);
CREATE INDEX events_tag ON events (left(tag, 100), stamp);
CREATE INDEX events_minion ON events (minion_id, stamp) WHERE minion_id IS NOT NULL;
CREATE TABLE events_other PARTITION OF events DEFAULT;

CREATE TABLE gaps (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    master_id bigint NOT NULL,
    since     bigint NOT NULL,
    until     bigint,          -- null while it is open
    recovered bigint NOT NULL DEFAULT 0
);
CREATE INDEX gaps_open ON gaps (master_id, since) WHERE until IS NULL;

CREATE TABLE runs (
    id          text    COLLATE "C" PRIMARY KEY,
    created     bigint  NOT NULL,
    kind        text    COLLATE "C" NOT NULL,
    status      text    COLLATE "C" NOT NULL,
    assignment  text    COLLATE "C" NOT NULL,
    "user"      text    COLLATE "C" NOT NULL,
    parent      text    COLLATE "C" NOT NULL,
    retry_of    text    COLLATE "C" NOT NULL,
    active      boolean NOT NULL, -- not final, or its check is pending
    head        text    COLLATE "C" NOT NULL, -- the run as JSON, without slices, minions and request
    counts      text    COLLATE "C" NOT NULL DEFAULT '{}', -- how many minions have which outcome, as JSON
    allow_empty boolean NOT NULL
);
CREATE INDEX runs_created ON runs (created, id);
CREATE INDEX runs_assignment ON runs (assignment, created, id) WHERE assignment <> '';
CREATE INDEX runs_active ON runs (created, id) WHERE active;
CREATE INDEX runs_parent ON runs (parent, created, id) WHERE parent <> '';
CREATE INDEX runs_retry_of ON runs (retry_of, created, id) WHERE retry_of <> '';
-- A run may have thousands of actions' runs, and most lists want none of them.
CREATE INDEX runs_asked ON runs (created, id) WHERE kind <> 'action';

CREATE TABLE run_requests (
    run_id text  COLLATE "C" PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    args   text  COLLATE "C",          -- as JSON
    target text  COLLATE "C" NOT NULL, -- as JSON
    call   bytea             -- what is published, and the actions around it, sealed
);

CREATE TABLE run_slices (
    run_id text    COLLATE "C" NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    place  integer NOT NULL,
    slice  text    COLLATE "C" NOT NULL, -- as JSON
    PRIMARY KEY (run_id, place)
);

CREATE TABLE run_minions (
    run_id    text     COLLATE "C" NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    minion    text     COLLATE "C" NOT NULL,
    outcome   smallint NOT NULL,
    jid       text     COLLATE "C" NOT NULL,
    slice     integer  NOT NULL,
    retcode   bigint,
    message   text     COLLATE "C" NOT NULL,
    late      boolean  NOT NULL,
    at        bigint   NOT NULL,
    processes text     COLLATE "C" NOT NULL,
    seq       bigint   NOT NULL,
    PRIMARY KEY (run_id, minion)
);

-- Idempotency keys: which run a user's key made.
CREATE TABLE run_keys (
    "user"  text   COLLATE "C" NOT NULL,
    key     text   COLLATE "C" NOT NULL,
    run_id  text   COLLATE "C" NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    digest  text   COLLATE "C" NOT NULL, -- of what was asked for
    created bigint NOT NULL,
    PRIMARY KEY ("user", key)
);
CREATE INDEX run_keys_run ON run_keys (run_id);

CREATE TABLE definitions (
    kind    text    COLLATE "C" NOT NULL,
    name    text    COLLATE "C" NOT NULL,
    number  bigint  NOT NULL,
    digest  text    COLLATE "C" NOT NULL,
    owner   text    COLLATE "C" NOT NULL,
    author  text    COLLATE "C" NOT NULL,
    created bigint  NOT NULL,
    deleted boolean NOT NULL,
    latest  boolean NOT NULL,
    body    text    COLLATE "C" NOT NULL, -- as JSON
    PRIMARY KEY (kind, name, number)
);
CREATE INDEX definitions_digest ON definitions (kind, name, digest);
CREATE UNIQUE INDEX definitions_latest ON definitions (kind, name) WHERE latest;

CREATE TABLE secret_pillars (
    assignment text  COLLATE "C" NOT NULL,
    version    text  COLLATE "C" NOT NULL,
    sealed     bytea NOT NULL,
    PRIMARY KEY (assignment, version)
);

-- A label may be a whole command, so it is in no index.
CREATE TABLE unsettled (
    assignment text   COLLATE "C" NOT NULL,
    revision   text   COLLATE "C" NOT NULL,
    minion     text   COLLATE "C" NOT NULL,
    label      text   COLLATE "C" NOT NULL,
    digest     text   COLLATE "C" NOT NULL,
    recorded   bigint NOT NULL
);
CREATE INDEX unsettled_minion ON unsettled (assignment, revision, minion);

CREATE TABLE tokens (
    id      text   COLLATE "C" PRIMARY KEY,
    name    text   COLLATE "C" NOT NULL,
    role    text   COLLATE "C" NOT NULL,
    hash    bytea  NOT NULL UNIQUE,
    created bigint NOT NULL,
    expires bigint NOT NULL
);

-- +goose Down

DROP TABLE tokens, unsettled, secret_pillars, definitions, run_keys, run_minions, run_slices, run_requests, runs, gaps, events, silences, evidence,
    state_latest, state_results, states, returns;
DROP VIEW content_bodies;
DROP TABLE contents, job_notes, job_minions, jobs, minion_set_members, minion_sets, calls, state_keys, minions, masters, pruned, settings;
DROP SEQUENCE job_numbers, event_numbers;
