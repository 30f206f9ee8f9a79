package sqlite

import (
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

func (w *batchWriter) event(ev *gaea.Event) error {
	w.seen(ev.Stamp)
	var minion any
	if name := tables.EventMinion(ev); name != "" {
		id, err := w.Minion(w.master, name)
		if err != nil {
			return err
		}
		minion = id
	}
	truncated, err := tables.Truncated(ev.Truncated)
	if err != nil {
		return err
	}
	n, err := w.Change(`INSERT INTO events (master_id, stamp, tag, digest, minion_id, data, truncated, suspect) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		w.master, tables.Micros(ev.Stamp), ev.Tag, tables.EventDigest(ev), minion, tables.Text(ev.Data), tables.Text(truncated), tables.Text(ev.Suspect))
	w.events += n
	return err
}
