package ingest

import (
	"encoding/json"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// KeyWatcher is told when the minions that the master knows may have changed. Its methods must not block.
type KeyWatcher interface {
	// KeysChanged is called after a key was accepted, rejected or deleted, and where events were missed that may have told so.
	KeysChanged()
	// Authenticated is called when the master has let a minion in, which it may have seen for the first time.
	Authenticated(minion string)
}

// keysUnknown is for a bus that is away or was, and for a message of it that could not be read.
func (i *Ingester) keysUnknown() {
	if i.o.Keys != nil {
		i.o.Keys.KeysChanged()
	}
}

// watchKeys tells the watcher what an event says of the master's keys.
func (i *Ingester) watchKeys(e gaea.Event) {
	if i.o.Keys == nil || (e.Tag != "salt/key" && e.Tag != "salt/auth") {
		return
	}
	var told struct {
		Act string `json:"act"`
		ID  string `json:"id"`
	}
	switch err := json.Unmarshal(e.Data, &told); {
	case err != nil || e.Tag == "salt/key":
		i.o.Keys.KeysChanged()
	case told.Act == "accept":
		i.o.Keys.Authenticated(told.ID)
	case told.Act != "pend": // one that waits to be accepted asks again and again, and changes nothing
		i.o.Keys.KeysChanged()
	}
}
