package sqlite

import "github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"

// callOf is call for the next of many returns.
func (w *batchWriter) callOf(c *tables.Call) (int64, error) {
	if w.lastCall != nil && w.lastCall.Same(c) {
		return w.lastCallID, nil
	}
	id, err := w.call(c)
	if err == nil {
		w.lastCall, w.lastCallID = c, id
	}
	return id, err
}

// call stores a call and returns its number. Whoever points at it counts that in w.calls.
func (w *batchWriter) call(c *tables.Call) (int64, error) {
	digest := c.Digest(w.master)
	if id, ok := w.names.calls.Get(digest); ok {
		return id, nil
	}
	var key any
	if c.StateKey != "" {
		id, err := w.StateKey(w.master, c.StateKey)
		if err != nil {
			return 0, err
		}
		key = id
	}
	return number(w.tx, w.names.calls, digest,
		`INSERT INTO calls (digest, refs, function, args, metadata, run_id, state_key_id, test) VALUES (?, 0, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		`SELECT id FROM calls WHERE digest = ?1`,
		digest[:], c.Function, tables.Text(c.Args), tables.Text(c.Metadata), c.RunID, key, c.Test)
}
