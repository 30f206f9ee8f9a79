package tables

// Runs deletes runs that have ended, but not the newest of each kind of an assignment. The runs of a run's actions stay as
// long as it does and go with it, first; so it stays while one of them is active. Those whose parent is not there go as any
// run does. What a hold keeps stays.
func (p *Pruning) Runs() error {
	old, err := p.ids(`SELECT u.id FROM runs u WHERE u.created < ?1 AND NOT u.active AND (u.assignment = '' OR u.kind = 'action' OR EXISTS
		(SELECT 1 FROM runs n WHERE n.assignment = u.assignment AND n.assignment <> '' AND n.kind = u.kind AND (n.created, n.id) > (u.created, u.id)))
		AND NOT (u.kind = 'action' AND EXISTS (SELECT 1 FROM runs r WHERE r.id = u.parent))
		AND NOT EXISTS (SELECT 1 FROM runs a WHERE a.parent = u.id AND a.parent <> '' AND a.kind = 'action' AND a.active)
		AND NOT `+p.tx.Dialect().runHeld("?3")+`
		ORDER BY u.created, u.id LIMIT ?2`, p.Keys, p.Left, p.tx.Dialect().ListOf(p.Held.Runs))
	for _, id := range old {
		if err == nil {
			err = p.runWithActions(id)
		}
		if err != nil || p.Left <= 0 {
			return err
		}
	}
	return err
}

// runWithActions deletes the runs of a run's actions, and then the run where there is room left for it: a run in many slices
// may have thousands of them, and other writers wait meanwhile.
func (p *Pruning) runWithActions(id string) error {
	actions, err := p.ids(`SELECT id FROM runs WHERE parent = ? AND parent <> '' AND kind = 'action' ORDER BY created, id LIMIT ?`, id, p.Left)
	for _, action := range actions {
		if err == nil {
			err = p.run(action)
		}
		if err != nil || p.Left <= 0 {
			return err
		}
	}
	if err != nil {
		return err
	}
	return p.run(id)
}

// run deletes one run. Its minions count as rows, not as things.
func (p *Pruning) run(id string) error {
	n, err := p.tx.Change(`DELETE FROM run_minions WHERE run_id = ?`, id)
	if err == nil {
		err = p.tx.Exec(`DELETE FROM runs WHERE id = ?`, id)
	}
	p.Left -= int(n)
	p.Went(1)
	return err
}

func (p *Pruning) ids(text string, args ...any) ([]string, error) {
	var list []string
	err := p.tx.Each(text, func(row Scanner) error {
		var id string
		err := row.Scan(&id)
		list = append(list, id)
		return err
	}, args...)
	return list, err
}
