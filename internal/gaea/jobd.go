package gaea

import "time"

// Jobd is a jobd as the others of its database see it.
type Jobd struct {
	ID      string    `json:"id" doc:"of the process: another after a restart"`
	Host    string    `json:"host" doc:"the machine's name"`
	Address string    `json:"address" doc:"where it listens"`
	PID     int       `json:"pid"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Seen    time.Time `json:"seen" doc:"its last heartbeat; they come every 3 s"`
	Alive   bool      `json:"alive" doc:"its last heartbeat is no older than a lease, 10 s"`
	Leads   bool      `json:"leads" doc:"it carries out the master's runs, checks and retention"`
}

// MasterStatus tells who serves a master, and what there is to do.
type MasterStatus struct {
	Master    string    `json:"master" doc:"its name in the archive"`
	Runs      int       `json:"runs" doc:"runs that go on, or whose check does"`
	LastEvent time.Time `json:"last_event,omitzero" doc:"the newest time of what is archived of it"`
	Led       bool      `json:"led" doc:"a jobd that is alive leads it"`
	LedSince  time.Time `json:"led_since,omitzero" doc:"when the jobd that leads it, or did last, began to"`
	Fence     int64     `json:"fence,omitempty" doc:"grows each time another jobd leads it"`
	Jobds     []Jobd    `json:"jobds" doc:"that serve it or did in the last day: the one that leads it first, then by host and address"`
}

// Leader is the jobd that leads the master, or did last; nil where none is known.
func (m *MasterStatus) Leader() *Jobd {
	for i := range m.Jobds {
		if m.Jobds[i].Leads {
			return &m.Jobds[i]
		}
	}
	return nil
}
