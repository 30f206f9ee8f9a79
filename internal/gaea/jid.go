package gaea

import (
	"sync"
	"time"
)

const jidLayout = "20060102150405.000000"

// ValidJID says whether s has the form of a Salt job id: twenty digits, a time to the microsecond, and possibly "_" and a
// process id (Salt's unique_jid option).
func ValidJID(s string) bool {
	if len(s) < 20 || len(s) > 40 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (i != 20 || c != '_') {
			return false
		}
	}
	return true
}

// JIDTime is the time that a job id names, in the zone loc (a master uses its own local time unless utc_jid is set). The
// zero time where s is no job id.
func JIDTime(s string, loc *time.Location) time.Time {
	if !ValidJID(s) {
		return time.Time{}
	}
	t, err := time.ParseInLocation(jidLayout, s[:14]+"."+s[14:20], loc)
	if err != nil {
		return time.Time{}
	}
	return t
}

// StartedSince says whether a job id names a time not before since; an id that names none counts as new. Where the zone's
// offset changes around that time the id may mean an hour later as well.
func StartedSince(jid string, since time.Time, zone *time.Location) bool {
	started := JIDTime(jid, zone)
	if started.IsZero() {
		return true
	}
	const around = 3 * time.Hour
	_, before := started.Add(-around).Zone()
	if _, after := started.Add(around).Zone(); before != after {
		started = started.Add(time.Hour)
	}
	return !started.Before(since)
}

// JIDs makes job ids, each later than the one before, as Salt makes them: from the local time to the microsecond. The
// zero JIDs is ready; it may be used from several goroutines.
type JIDs struct {
	mu   sync.Mutex
	last time.Time
}

// Next returns a job id for now, or for the next free microsecond after the last one given.
func (j *JIDs) Next(now time.Time) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	now = now.Truncate(time.Microsecond)
	if !now.After(j.last) {
		now = j.last.Add(time.Microsecond)
	}
	j.last = now
	s := now.Format(jidLayout)
	return s[:14] + s[15:]
}
