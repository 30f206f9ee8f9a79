package sqlite

import (
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/content"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

var (
	// A new content is mostly for one return: it is stored with that reference, so that nothing is left to count.
	insertContents = newInsertion(`INSERT INTO contents (id, digest, refs)`, `(?, ?, 1)`, ``)
	insertBodies   = newInsertion(`INSERT INTO content_bodies (content_id, body, holes, packed)`, `(?, ?, ?, ?)`, ``)
)

// storeContents stores what is the same in bodies, once, and numbers it. Whoever points at it counts that in w.contents.
func (w *batchWriter) storeContents(returns []newReturn) error {
	var news []*newReturn
	ids := map[content.Digest]int64{} // of the news
	for i := range returns {
		n := &returns[i]
		if len(n.Body) == 0 {
			continue
		}
		if id, ok := w.names.contents.Get(n.digest); ok {
			n.content = id
		} else if _, ok := ids[n.digest]; !ok {
			ids[n.digest] = 0
			news = append(news, n)
		}
	}
	if len(news) == 0 {
		return nil
	}
	if err := w.newContents(news, ids); err != nil {
		return err
	}
	for d, id := range ids {
		w.names.contents.Put(d, id)
	}
	for i := range returns {
		if id, ok := ids[returns[i].digest]; ok && len(returns[i].Body) > 0 {
			returns[i].content = id
		}
	}
	return nil
}

// newContents stores what nobody remembers, and numbers it in ids. Of several rows at once none is stored where one is there
// already; then each is stored, or found, alone.
func (w *batchWriter) newContents(news []*newReturn, ids map[content.Digest]int64) error {
	var last int64
	if err := w.Row(`SELECT coalesce(max(id), 0) FROM contents`).Scan(&last); err != nil {
		return err
	}
	made := make([]*newReturn, 0, len(news))
	var args []any
	err := insertContents.eachChunk(len(news), func(text string, from, to int) error {
		args = args[:0]
		for i, n := range news[from:to] {
			args = append(args, last+int64(i)+1, n.digest[:])
		}
		err := w.Exec(text, args...)
		if err == nil {
			for i, n := range news[from:to] {
				ids[n.digest] = last + int64(i) + 1
			}
			last += int64(to - from)
			made = append(made, news[from:to]...)
			return nil
		}
		if !taken(err) {
			return err
		}
		for _, n := range news[from:to] {
			id, inserted, err := w.insert(`INSERT INTO contents (digest, refs) VALUES (?, 1) ON CONFLICT DO NOTHING`, n.digest[:])
			switch {
			case err != nil:
				return err
			case inserted:
				made, last = append(made, n), id
			default:
				if err := w.Row(`SELECT id FROM contents WHERE digest = ?`, n.digest[:]).Scan(&id); err != nil {
					return err
				}
			}
			ids[n.digest] = id
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.bodies += int64(len(made))
	return w.insertAll(&insertBodies, len(made), func(all []any, i int) []any {
		b, id := &made[i].body, ids[made[i].digest]
		w.contents[id]--
		var holes any
		if len(b.Holes) > 0 {
			holes = b.Holes
		}
		if packed := content.PackSame(b.Same); packed != nil {
			return append(all, id, "", holes, packed)
		}
		return append(all, id, string(b.Same), holes, nil)
	})
}

// dropUnused deletes contents and calls that nothing points at.
func (t *tx) dropUnused() error {
	if err := t.Exec(`DELETE FROM content_bodies WHERE content_id IN (SELECT id FROM contents WHERE refs = 0)`); err != nil {
		return err
	}
	var gone int64
	err := t.Each(`DELETE FROM contents WHERE refs = 0 RETURNING digest`, func(row tables.Scanner) error {
		var digest []byte
		err := row.Scan(&digest)
		t.names.contents.Drop(content.Digest(digest))
		gone++
		return err
	})
	if err != nil {
		return err
	}
	err = t.Each(`DELETE FROM calls WHERE refs = 0 RETURNING digest`, func(row tables.Scanner) error {
		var digest []byte
		err := row.Scan(&digest)
		t.names.calls.Drop([32]byte(digest))
		return err
	})
	if err != nil {
		return err
	}
	return t.addContents(-gone)
}

// addContents counts contents.
func (t *tx) addContents(n int64) error {
	if n == 0 {
		return nil
	}
	return t.Exec(`UPDATE totals SET rows = rows + ? WHERE name = 'contents'`, n)
}
