package tables

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// SavedRun is what was written of an active run last, so that a save writes only what differs. It is a copy: runs are changed
// in place.
type SavedRun struct {
	args   json.RawMessage
	target gaea.Target
	slices []gaea.Slice
}

// insertRequest stores what a run was asked to do, with its sealed call.
func insertRequest(tx Tx, r *gaea.Run, call any) (*SavedRun, error) {
	args, target, err := requestOf(r)
	if err == nil {
		err = tx.Exec(`INSERT INTO run_requests (run_id, args, target, call) VALUES (?, ?, ?, ?)`, r.ID, args, target, call)
	}
	was := &SavedRun{}
	was.asked(r)
	return was, err
}

// saveRequest writes what a run was asked to do where that is not what was written before. The call stays.
func saveRequest(tx Tx, r *gaea.Run, was *SavedRun, known bool) error {
	if known && bytes.Equal(r.Args, was.args) && sameTarget(r.Target, was.target) {
		return nil
	}
	args, target, err := requestOf(r)
	if err == nil {
		err = tx.Exec(`UPDATE run_requests SET args = ?, target = ? WHERE run_id = ?`, args, target, r.ID)
	}
	was.asked(r)
	return err
}

// requestOf are the columns of what a run was asked to do.
func requestOf(r *gaea.Run) (args any, target string, err error) {
	if len(r.Args) > 0 {
		args, err = Marshal(r.Args)
	}
	if err == nil {
		target, err = Marshal(r.Target)
	}
	if err != nil {
		err = gaea.Wrap(err, gaea.CodeInvalid, "what run %s was asked to do cannot be stored as JSON", r.ID)
	}
	return args, target, err
}

func (s *SavedRun) asked(r *gaea.Run) {
	s.args, s.target = slices.Clone(r.Args), r.Target
	s.target.Minions = slices.Clone(r.Target.Minions)
}

func sameTarget(a, b gaea.Target) bool {
	return a.Type == b.Type && a.Expr == b.Expr && slices.Equal(a.Minions, b.Minions)
}
