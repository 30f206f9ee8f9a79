package tables

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Call is what was run: what a job and its returns have in common.
type Call struct {
	Function string
	Args     json.RawMessage
	Metadata json.RawMessage
	RunID    string
	StateKey string
	Test     bool
}

// CallOfJob is what a job runs.
func CallOfJob(j *gaea.Job) Call {
	return Call{Function: j.Function, Args: j.Args, Metadata: j.Metadata, RunID: j.RunID, StateKey: j.StateKey, Test: j.Test}
}

// CallOfReturn is what a return says was run.
func CallOfReturn(r *gaea.Return) Call {
	return Call{Function: r.Function, Args: r.Args, Metadata: r.Metadata, RunID: r.RunID, StateKey: r.StateKey, Test: r.Test}
}

// Same says whether two calls are the same, as those of one job's returns mostly are. It costs less than their digests.
func (c *Call) Same(other *Call) bool {
	return c.Function == other.Function && c.Test == other.Test && c.RunID == other.RunID && c.StateKey == other.StateKey &&
		string(c.Args) == string(other.Args) && string(c.Metadata) == string(other.Metadata)
}

// Digest identifies a call of a master: state keys, and so calls, are a master's own.
func (c *Call) Digest(master int64) (d [sha256.Size]byte) {
	h := sha256.New()
	var n [8]byte
	var test uint64
	if c.Test {
		test = 1
	}
	head := [...]uint64{
		uint64(master), test,
		uint64(len(c.Function)), uint64(len(c.Args)), uint64(len(c.Metadata)), uint64(len(c.RunID)), uint64(len(c.StateKey)),
	}
	for _, v := range head {
		binary.BigEndian.PutUint64(n[:], v)
		h.Write(n[:])
	}
	h.Write([]byte(c.Function))
	h.Write(c.Args)
	h.Write(c.Metadata)
	h.Write([]byte(c.RunID))
	h.Write([]byte(c.StateKey))
	h.Sum(d[:0])
	return d
}

// CallColumns are the columns of calls that Into reads, with state_keys joined to it.
const CallColumns = `c.function, coalesce(c.args, ''), coalesce(c.metadata, ''), c.run_id, coalesce(k.state_key, ''), c.test`

// Into are the places for CallColumns.
func (c *Call) Into() []any {
	return []any{&c.Function, (*RawText)(&c.Args), (*RawText)(&c.Metadata), &c.RunID, &c.StateKey, &c.Test}
}

// RawText reads a text, or bytes, as JSON; an empty one is none.
type RawText json.RawMessage

// Scan implements [database/sql.Scanner].
func (r *RawText) Scan(v any) error {
	*r = nil
	switch v := v.(type) {
	case string:
		if v != "" {
			*r = RawText(v)
		}
	case []byte:
		if len(v) > 0 {
			*r = append(RawText(nil), v...)
		}
	}
	return nil
}
