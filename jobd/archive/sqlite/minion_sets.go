package sqlite

import (
	"slices"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

// jobMinions adds minions to those that have a role in a job. A job that was published in parts has several sets, and adding
// one again changes nothing.
func (w *batchWriter) jobMinions(jobID, role int64, minions []string) error {
	if len(minions) == 0 {
		return nil
	}
	set, err := w.minionSet(minions)
	if err != nil {
		return err
	}
	added, err := w.Change(`INSERT INTO job_minions (job_id, role, set_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, jobID, role, set)
	if added > 0 && role == tables.Expected {
		w.asked[jobID] = true
	}
	return err
}

// minionSet stores a list of minions, once for each list.
func (w *batchWriter) minionSet(minions []string) (int64, error) {
	if !slices.IsSorted(minions) {
		minions = slices.Sorted(slices.Values(minions))
	}
	digest := tables.SetDigest(w.master, minions)
	if id, ok := w.names.sets.Get(digest); ok {
		return id, nil
	}
	set, inserted, err := w.insert(`INSERT INTO minion_sets (digest) VALUES (?) ON CONFLICT DO NOTHING`, digest[:])
	if err != nil {
		return 0, err
	}
	if !inserted {
		err = w.Row(`SELECT id FROM minion_sets WHERE digest = ?`, digest[:]).Scan(&set)
	} else {
		for _, m := range minions {
			var id int64
			if id, err = w.Minion(w.master, m); err == nil {
				err = w.Exec(`INSERT INTO minion_set_members (set_id, minion_id) VALUES (?, ?) ON CONFLICT DO NOTHING`, set, id)
			}
			if err != nil {
				return 0, err
			}
		}
	}
	if err == nil {
		w.names.sets.Put(digest, set)
	}
	return set, err
}
