package sqlite

import (
	"context"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

// WriteBatch implements [archive.Store].
func (s *Store) WriteBatch(ctx context.Context, master string, b archive.Batch) error {
	if err := tables.ValidateBatch(master, b); err != nil || b.Len() == 0 {
		return err
	}
	returns, err := prepareReturns(b.Returns)
	if err != nil {
		return err
	}
	return s.write(ctx, func(tx *tx) error {
		id, err := tx.Master(master)
		if err != nil {
			return err
		}
		w := &batchWriter{tx: tx, master: id, calls: references{}, contents: references{}, came: map[int64]int64{}, asked: map[int64]bool{}}
		for i := range b.Jobs {
			if err := w.publication(&b.Jobs[i]); err != nil {
				return err
			}
		}
		if err := w.storeReturns(returns); err != nil {
			return err
		}
		for i := range b.Events {
			if err := w.event(&b.Events[i]); err != nil {
				return err
			}
		}
		return w.end()
	})
}

// batchWriter writes one batch of one master, in one transaction.
type batchWriter struct {
	*tx
	master int64

	lastCall   *tables.Call // of the return before
	lastCallID int64

	calls, contents references
	came            map[int64]int64 // returns of jobs, and words about them
	asked           map[int64]bool  // jobs of which it became known whom they expect
	durations       tables.Durations
	unused          bool // something that was stored for a row may be needed by none
	last            int64
	jobs, returns   int64
	events, bodies  int64
	raw, sized      int64
}

// references counts by how much the references to rows have changed.
type references map[int64]int64

// size counts the bytes of a body that comes, or goes.
func (w *batchWriter) size(bytes, sign int) {
	if bytes > 0 {
		w.raw += int64(sign * bytes)
		w.sized += int64(sign)
	}
}

// seen notes the newest time in the batch.
func (w *batchWriter) seen(t time.Time) { w.last = max(w.last, tables.Micros(t)) }

// end writes what was counted.
func (w *batchWriter) end() error {
	for id, n := range w.calls {
		if n != 0 {
			if err := w.Exec(`UPDATE calls SET refs = refs + ? WHERE id = ?`, n, id); err != nil {
				return err
			}
		}
	}
	for id, n := range w.contents {
		if n != 0 {
			if err := w.Exec(`UPDATE contents SET refs = refs + ? WHERE id = ?`, n, id); err != nil {
				return err
			}
		}
	}
	if err := w.addContents(w.bodies); err != nil {
		return err
	}
	if err := w.openJobs(); err != nil {
		return err
	}
	if err := w.writeDurations(); err != nil {
		return err
	}
	if w.unused {
		if err := w.dropUnused(); err != nil {
			return err
		}
	}
	return w.Exec(`UPDATE masters SET last_stamp = max(last_stamp, ?), jobs = jobs + ?, returns = returns + ?, events = events + ?,
		raw = raw + ?, sized = sized + ? WHERE id = ?`, w.last, w.jobs, w.returns, w.events, w.raw, w.sized, w.master)
}
