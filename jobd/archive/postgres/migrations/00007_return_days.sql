-- On which days the returns of the jobs of a day came, by their stamps: a time is asked of the partitions that have something of it.
-- Days are since 1970, UTC; those of jobs are those of their numbers.

-- +goose Up

CREATE TABLE return_days (
    day     bigint NOT NULL,
    stamped bigint NOT NULL,
    PRIMARY KEY (stamped, day)
);
INSERT INTO return_days (day, stamped) SELECT DISTINCT job_id >> 40, greatest(stamp, 0) / 86400000000 FROM returns;

-- +goose Down

DROP TABLE return_days;
