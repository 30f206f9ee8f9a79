-- Several jobds on one database: who they are, who leads which master, and what one asks of another.

-- +goose Up

ALTER TABLE runs ADD COLUMN master text COLLATE "C" NOT NULL DEFAULT '';
-- Type json tells nothing of a text with a zero byte in it.
UPDATE runs SET master = coalesce(replace(head, '\u0000', '\u0020')::json ->> 'master', '');
CREATE INDEX runs_active_of_master ON runs (master, created, id) WHERE active;

-- Times are the server's clock, so that the clocks of the machines need not agree.
CREATE TABLE jobds (
    id        text   COLLATE "C" PRIMARY KEY, -- of the process
    master    text   COLLATE "C" NOT NULL,
    host      text   COLLATE "C" NOT NULL,
    address   text   COLLATE "C" NOT NULL,    -- where it listens
    pid       bigint NOT NULL,
    version   text   COLLATE "C" NOT NULL,
    started   bigint NOT NULL,
    heartbeat bigint NOT NULL
) WITH (fillfactor = 50);

-- Who leads a master: its runs are this jobd's to carry out. Every change of hands has a higher fence.
CREATE TABLE leases (
    master  text   COLLATE "C" PRIMARY KEY,
    jobd    text   COLLATE "C" NOT NULL,
    place   text   COLLATE "C" NOT NULL, -- what two processes that live at the same time never have both; empty where that is not known
    fence   bigint NOT NULL,
    since   bigint NOT NULL,
    expires bigint NOT NULL
) WITH (fillfactor = 50);

-- What a jobd asks of the one that leads a master.
CREATE TABLE orders (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    master  text   COLLATE "C" NOT NULL,
    kind    text   COLLATE "C" NOT NULL,
    body    text   COLLATE "C" NOT NULL,         -- what is asked, as JSON
    "user"  text   COLLATE "C" NOT NULL,         -- who asks
    expires bigint NOT NULL,                     -- nobody waits for an answer any more
    fence   bigint NOT NULL DEFAULT 0,           -- of the leader that has taken it; 0: nobody
    answer  text   COLLATE "C"                   -- as JSON
);
CREATE INDEX orders_open ON orders (master, id) WHERE answer IS NULL;

-- +goose Down

DROP TABLE orders;
DROP TABLE leases;
DROP TABLE jobds;
DROP INDEX runs_active_of_master;
ALTER TABLE runs DROP COLUMN master;
