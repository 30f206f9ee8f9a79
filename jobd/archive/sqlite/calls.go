package sqlite

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// call is what was run: what a job and its returns have in common.
type call struct {
	function string
	args     json.RawMessage
	metadata json.RawMessage
	runID    string
	stateKey string
	test     bool
}

func callOfJob(j *gaea.Job) call {
	return call{function: j.Function, args: j.Args, metadata: j.Metadata, runID: j.RunID, stateKey: j.StateKey, test: j.Test}
}

func callOfReturn(r *gaea.Return) call {
	return call{function: r.Function, args: r.Args, metadata: r.Metadata, runID: r.RunID, stateKey: r.StateKey, test: r.Test}
}

// digest identifies a call of a master: state keys, and so calls, are a master's own.
func (c *call) digest(master int64) (d [sha256.Size]byte) {
	h := sha256.New()
	var n [8]byte
	head := [...]uint64{
		uint64(master), uint64(truth(c.test)),
		uint64(len(c.function)), uint64(len(c.args)), uint64(len(c.metadata)), uint64(len(c.runID)), uint64(len(c.stateKey)),
	}
	for _, v := range head {
		binary.BigEndian.PutUint64(n[:], v)
		h.Write(n[:])
	}
	h.Write([]byte(c.function))
	h.Write(c.args)
	h.Write(c.metadata)
	h.Write([]byte(c.runID))
	h.Write([]byte(c.stateKey))
	h.Sum(d[:0])
	return d
}

// call stores a call and returns its number. Whoever points at it counts that in w.calls.
func (w *batchWriter) call(c *call) (int64, error) {
	digest := c.digest(w.master)
	if id, ok := w.names.calls.get(digest); ok {
		return id, nil
	}
	var key any
	if c.stateKey != "" {
		id, err := w.stateKey(w.master, c.stateKey)
		if err != nil {
			return 0, err
		}
		key = id
	}
	return number(w.tx, w.names.calls, digest,
		`INSERT INTO calls (digest, refs, function, args, metadata, run_id, state_key_id, test) VALUES (?, 0, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		`SELECT id FROM calls WHERE digest = ?1`,
		digest[:], c.function, text(c.args), text(c.metadata), c.runID, key, truth(c.test))
}

// callColumns are the columns of calls that scanCall reads, with state_keys joined to it.
const callColumns = `c.function, ifnull(c.args, ''), ifnull(c.metadata, ''), c.run_id, ifnull(k.state_key, ''), c.test`

// into are the places for callColumns.
func (c *call) into() []any {
	return []any{&c.function, (*rawText)(&c.args), (*rawText)(&c.metadata), &c.runID, &c.stateKey, &c.test}
}

// rawText reads a text as JSON; an empty one is none.
type rawText json.RawMessage

// Scan implements [database/sql.Scanner].
func (r *rawText) Scan(v any) error {
	*r = nil
	if s, ok := v.(string); ok && s != "" {
		*r = rawText(s)
	}
	return nil
}
