-- What came from minions that are not to be trusted: returns and events of which only the beginning is kept, and events that are
-- not what their tags say.

-- +goose Up

-- Size and digest of the whole, as JSON; null where what is stored is the whole.
ALTER TABLE returns ADD COLUMN truncated TEXT;
ALTER TABLE events ADD COLUMN truncated TEXT;

-- Why the event is not what its tag says; null where it is.
ALTER TABLE events ADD COLUMN suspect TEXT;
CREATE INDEX events_suspect ON events (stamp, id) WHERE suspect IS NOT NULL;

-- +goose Down

DROP INDEX events_suspect;
ALTER TABLE events DROP COLUMN suspect;
ALTER TABLE events DROP COLUMN truncated;
ALTER TABLE returns DROP COLUMN truncated;
