package tables

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// saveSlices writes the slices that differ from what was written before: a run is saved at each return, and its slices, which
// name every minion, change a few times only.
func saveSlices(tx Tx, r *gaea.Run, was *SavedRun, known bool) error {
	for i := range r.Slices {
		sl := &r.Slices[i]
		if i < len(was.slices) && sameSlice(sl, &was.slices[i]) {
			continue
		}
		b, err := Marshal(trimmed(*sl))
		if err != nil {
			return gaea.Wrap(err, gaea.CodeInvalid, "slice %d of run %s cannot be stored as JSON", i, r.ID)
		}
		err = tx.Exec(`INSERT INTO run_slices (run_id, place, slice) VALUES (?, ?, ?) ON CONFLICT (run_id, place) DO UPDATE SET slice = excluded.slice`, r.ID, int64(i), b)
		if err != nil {
			return err
		}
		if i < len(was.slices) {
			was.slices[i] = copied(sl)
		} else {
			was.slices = append(was.slices, copied(sl))
		}
	}
	if known && len(was.slices) <= len(r.Slices) {
		return nil
	}
	was.slices = was.slices[:len(r.Slices)]
	return tx.Exec(`DELETE FROM run_slices WHERE run_id = ? AND place >= ?`, r.ID, int64(len(r.Slices)))
}

// sameSlice compares every field. Most names are the very same texts as before, which costs next to nothing.
func sameSlice(a, b *gaea.Slice) bool {
	return a.Index == b.Index && a.JID == b.JID && a.Canary == b.Canary && a.Again == b.Again &&
		a.Started.Equal(b.Started) && a.Ended.Equal(b.Ended) &&
		slices.Equal(a.Minions, b.Minions) && slices.EqualFunc(a.Actions, b.Actions, sameAction)
}

func sameAction(a, b gaea.RunAction) bool {
	return a.Name == b.Name && a.What == b.What && a.Phase == b.Phase && a.Status == b.Status && a.Attempts == b.Attempts && a.Message == b.Message &&
		a.Started.Equal(b.Started) && a.Ended.Equal(b.Ended) && a.Next.Equal(b.Next) && slices.Equal(a.Runs, b.Runs)
}

// copied is a slice that shares no list with the original.
func copied(sl *gaea.Slice) gaea.Slice {
	c := *sl
	c.Minions, c.Actions = slices.Clone(sl.Minions), slices.Clone(sl.Actions)
	for i := range c.Actions {
		c.Actions[i].Runs = slices.Clone(c.Actions[i].Runs)
	}
	return c
}

// trimmed is a slice with its times as the archive keeps times.
func trimmed(sl gaea.Slice) gaea.Slice {
	sl.Started, sl.Ended = trim(sl.Started), trim(sl.Ended)
	sl.Actions = trimmedActions(sl.Actions)
	return sl
}

// trimmedActions are actions with their times as the archive keeps times.
func trimmedActions(actions []gaea.RunAction) []gaea.RunAction {
	list := slices.Clone(actions)
	for i := range list {
		a := &list[i]
		a.Started, a.Ended, a.Next = trim(a.Started), trim(a.Ended), trim(a.Next)
	}
	return list
}

func trim(t time.Time) time.Time { return TimeOf(Micros(t)) }

func slicesOf(q Query, run string) ([]gaea.Slice, error) {
	var list []gaea.Slice
	err := q.Each(`SELECT slice FROM run_slices WHERE run_id = ? ORDER BY place`, func(row Scanner) error {
		var b string
		if err := row.Scan(&b); err != nil {
			return err
		}
		var sl gaea.Slice
		err := json.Unmarshal([]byte(b), &sl)
		list = append(list, sl)
		return err
	}, run)
	return list, err
}
