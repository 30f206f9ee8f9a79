package gaea

import "time"

// ServerStatus is how a jobd stands.
type ServerStatus struct {
	Version   string    `json:"version" doc:"jobd's version"`
	Master    string    `json:"master" doc:"the Salt master that this jobd stands beside"`
	Connected bool      `json:"connected" doc:"whether the master's event bus is being read"`
	Database  string    `json:"database" doc:"the kind of database: sqlite or postgres"`
	Leads     bool      `json:"leads" doc:"whether this jobd carries out the master's runs; false while another one does"`
	Since     time.Time `json:"since" doc:"when this jobd started"`
}
