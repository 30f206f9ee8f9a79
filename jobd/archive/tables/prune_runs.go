package tables

// runPruner deletes runs that have ended.
type runPruner struct {
	Tx
	before  int64
	left    int // how many rows may still go
	deleted int // how many runs went
}

// PruneRuns deletes runs that were created before a time and have ended, about so many rows of them. It returns how many runs
// and how many rows went.
func PruneRuns(tx Tx, before int64, limit int) (runs, rows int, err error) {
	p := &runPruner{Tx: tx, before: before, left: limit}
	err = p.runs()
	return p.deleted, limit - p.left, err
}

// runs deletes runs that have ended, but not the newest of each kind of an assignment. The runs of a run's actions stay as
// long as it does and go with it, first; so it stays while one of them is active. Those whose parent is not there go as any
// run does.
func (p *runPruner) runs() error {
	old, err := p.ids(`SELECT u.id FROM runs u WHERE u.created < ?1 AND NOT u.active AND (u.assignment = '' OR u.kind = 'action' OR EXISTS
		(SELECT 1 FROM runs n WHERE n.assignment = u.assignment AND n.assignment <> '' AND n.kind = u.kind AND (n.created, n.id) > (u.created, u.id)))
		AND NOT (u.kind = 'action' AND EXISTS (SELECT 1 FROM runs r WHERE r.id = u.parent))
		AND NOT EXISTS (SELECT 1 FROM runs a WHERE a.parent = u.id AND a.parent <> '' AND a.kind = 'action' AND a.active)
		ORDER BY u.created, u.id LIMIT ?2`, p.before, p.left)
	for _, id := range old {
		if err == nil {
			err = p.runWithActions(id)
		}
		if err != nil || p.left <= 0 {
			return err
		}
	}
	return err
}

// runWithActions deletes the runs of a run's actions, and then the run where there is room left for it: a run in many slices
// may have thousands of them, and other writers wait meanwhile.
func (p *runPruner) runWithActions(id string) error {
	actions, err := p.ids(`SELECT id FROM runs WHERE parent = ? AND parent <> '' AND kind = 'action' ORDER BY created, id LIMIT ?`, id, p.left)
	for _, action := range actions {
		if err == nil {
			err = p.run(action)
		}
		if err != nil || p.left <= 0 {
			return err
		}
	}
	if err != nil {
		return err
	}
	return p.run(id)
}

// run deletes one run. Its minions count as rows, not as things.
func (p *runPruner) run(id string) error {
	n, err := p.Change(`DELETE FROM run_minions WHERE run_id = ?`, id)
	if err == nil {
		err = p.Exec(`DELETE FROM runs WHERE id = ?`, id)
	}
	p.left -= int(n) + 1
	p.deleted++
	return err
}

func (p *runPruner) ids(text string, args ...any) ([]string, error) {
	var list []string
	err := p.Each(text, func(row Scanner) error {
		var id string
		err := row.Scan(&id)
		list = append(list, id)
		return err
	}, args...)
	return list, err
}
