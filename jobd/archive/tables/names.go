package tables

// MinionName is a minion, or a state key, of a master.
type MinionName struct {
	Master int64
	Name   string
}

// StateName is a state: Salt's key of it, and the SLS that declared it.
type StateName struct{ Key, SLS string }

// JobName is a job of a master.
type JobName struct {
	Master int64
	JID    string
}

// How much a store remembers of what it has numbered; an entry takes about 100 bytes. A fleet that is larger than this costs
// one look-up a row.
const (
	RememberMinions  = 20_000
	RememberStates   = 20_000
	RememberContents = 50_000
	RememberJobs     = 2_000
	RememberFew      = 500
)
