package sqlite

import (
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/content"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

// content stores what is the same in a body, once, and returns its number. Whoever points at it counts that in w.contents.
func (w *batchWriter) content(b content.Body) (int64, error) {
	digest := b.Digest()
	if id, ok := w.names.contents.Get(digest); ok {
		return id, nil
	}
	id, inserted, err := w.insert(`INSERT INTO contents (digest, refs) VALUES (?, 1) ON CONFLICT DO NOTHING`, digest[:])
	switch {
	case err != nil:
		return 0, err
	case inserted:
		var holes any
		if len(b.Holes) > 0 {
			holes = b.Holes
		}
		same, packed := packedOr(b.Same)
		err = w.Exec(`INSERT INTO content_bodies (content_id, body, holes, packed) VALUES (?, ?, ?, ?)`, id, string(same), holes, packed)
		// A new content is mostly for one return: it is stored with that reference, so that nothing is left to count.
		w.contents[id]--
		w.bodies++
	default:
		err = w.Row(`SELECT id FROM contents WHERE digest = ?`, digest[:]).Scan(&id)
	}
	if err == nil {
		w.names.contents.Put(digest, id)
	}
	return id, err
}

// packedOr is a text to be stored as it is, or packed; the other one is empty, or nil.
func packedOr(b []byte) (plain []byte, packed any) {
	if p := content.Pack(b); p != nil {
		return nil, p
	}
	return b, nil
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
