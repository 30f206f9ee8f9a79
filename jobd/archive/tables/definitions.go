package tables

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// TargetGroups implements [archive.Store].
func (s *Store) TargetGroups() gaea.DefinitionStore[gaea.TargetGroup] {
	return definitions[gaea.TargetGroup]{s, gaea.KindTargetGroup, "target group"}
}

// JobTemplates implements [archive.Store].
func (s *Store) JobTemplates() gaea.DefinitionStore[gaea.JobTemplate] {
	return definitions[gaea.JobTemplate]{s, gaea.KindJobTemplate, "job template"}
}

// Assignments implements [archive.Store].
func (s *Store) Assignments() gaea.DefinitionStore[gaea.Assignment] {
	return definitions[gaea.Assignment]{s, gaea.KindAssignment, "assignment"}
}

// definitions implements [gaea.DefinitionStore] for one kind.
type definitions[T gaea.Definition] struct {
	s    *Store
	kind gaea.Kind
	noun string // for messages
}

const versionColumns = `number, digest, owner, author, created, deleted, body`

// version is one row, with its digest.
type version[T gaea.Definition] struct {
	gaea.Version[T]
	digest string
}

func scanVersion[T gaea.Definition](row Scanner) (version[T], error) {
	var v version[T]
	var created int64
	var body string
	if err := row.Scan(&v.Number, &v.digest, &v.Owner, &v.Author, &created, &v.Deleted, &body); err != nil {
		return v, err
	}
	v.Created = TimeOf(created)
	// Numbers stay as they were written: a float would change large ones, and the ref would no longer match the content.
	numbers := json.NewDecoder(strings.NewReader(body))
	numbers.UseNumber()
	if err := numbers.Decode(&v.Definition); err != nil {
		return v, gaea.Wrap(err, gaea.CodeInternal, "a definition is damaged in the archive")
	}
	v.Ref = gaea.Ref{Name: v.Definition.DefinitionName(), Digest: v.digest}.String()
	return v, nil
}

func (d definitions[T]) latest(q Query, name string) (version[T], error) {
	v, err := scanVersion[T](q.Row(`SELECT `+versionColumns+` FROM definitions WHERE kind = ? AND name = ? AND latest`, string(d.kind), name))
	return v, missing(err, "there is no %s %q", d.noun, name)
}

// Put implements [gaea.DefinitionStore]. A name that was deleted is free: the author owns it then, and numbers go on.
func (d definitions[T]) Put(ctx context.Context, def T, author string) (gaea.Version[T], error) {
	if err := def.Validate(); err != nil {
		return gaea.Version[T]{}, err
	}
	body, err := Marshal(def)
	if err != nil {
		return gaea.Version[T]{}, gaea.Wrap(err, gaea.CodeInvalid, "the %s %q cannot be stored as JSON", d.noun, def.DefinitionName())
	}
	name, digest := def.DefinitionName(), gaea.Digest(def)
	var put version[T]
	err = d.s.db.Write(ctx, func(tx Tx) error {
		if err := tx.Alone(d.noun + " " + name); err != nil {
			return err
		}
		last, err := d.latest(tx, name)
		owner := author
		switch {
		case gaea.CodeOf(err) == gaea.CodeNotFound:
		case err != nil:
			return err
		case last.Deleted:
		case last.Owner != author:
			return d.foreign(name, last.Owner)
		case last.digest == digest:
			put = last
			return nil
		}
		if err = tx.Exec(`UPDATE definitions SET latest = FALSE WHERE kind = ? AND name = ? AND latest`, string(d.kind), name); err != nil {
			return err
		}
		err = tx.Exec(`INSERT INTO definitions (kind, name, number, digest, owner, author, created, deleted, latest, body) VALUES (?, ?, ?, ?, ?, ?, ?, FALSE, TRUE, ?)`,
			string(d.kind), name, int64(last.Number+1), digest, owner, author, Micros(d.s.now()), body)
		if err == nil {
			put, err = d.latest(tx, name)
		}
		return err
	})
	return put.Version, err
}

func (d definitions[T]) foreign(name, owner string) error {
	return gaea.Errorf(gaea.CodeConflict, "the %s %q belongs to %q; choose another name, or have %q delete it", d.noun, name, owner, owner)
}

// Get implements [gaea.DefinitionStore]. Of several versions with one digest it is the newest.
func (d definitions[T]) Get(ctx context.Context, ref gaea.Ref) (gaea.Version[T], error) {
	var v version[T]
	err := d.s.db.Read(ctx, func(q Query) error {
		var err error
		if ref.Digest == "" {
			if v, err = d.latest(q, ref.Name); err == nil && v.Deleted {
				err = gaea.Errorf(gaea.CodeNotFound, "the %s %q was deleted", d.noun, ref.Name)
			}
			return err
		}
		v, err = scanVersion[T](q.Row(`SELECT `+versionColumns+` FROM definitions WHERE kind = ? AND name = ? AND digest = ? ORDER BY number DESC LIMIT 1`,
			string(d.kind), ref.Name, ref.Digest))
		return missing(err, "there is no version %s of the %s %q", ref.Digest, d.noun, ref.Name)
	})
	if err != nil {
		return gaea.Version[T]{}, err
	}
	return v.Version, nil
}

// Delete implements [gaea.DefinitionStore]. CodeConflict where the definition is another owner's.
func (d definitions[T]) Delete(ctx context.Context, name, author string) error {
	return d.s.db.Write(ctx, func(tx Tx) error {
		if err := tx.Alone(d.noun + " " + name); err != nil {
			return err
		}
		last, err := d.latest(tx, name)
		switch {
		case err != nil:
			return err
		case last.Deleted:
			return gaea.Errorf(gaea.CodeNotFound, "the %s %q was deleted", d.noun, name)
		case last.Owner != author:
			return d.foreign(name, last.Owner)
		}
		return tx.Exec(`UPDATE definitions SET deleted = TRUE WHERE kind = ? AND name = ? AND latest`, string(d.kind), name)
	})
}

// List implements [gaea.DefinitionStore].
func (d definitions[T]) List(ctx context.Context, p gaea.PageRequest) (gaea.Page[gaea.Version[T]], error) {
	list := string(d.kind) + "s"
	after, limit, err := archive.ParsePage(p, list, 0, 1)
	if err != nil {
		return gaea.Page[gaea.Version[T]]{}, err
	}
	c := conditions{dialect: d.s.dialect}
	c.add("kind = ? AND latest AND NOT deleted", string(d.kind))
	if after != nil {
		c.add("name > ?", after.Texts[0])
	}
	page := pager[gaea.Version[T]]{list: list, limit: limit}
	err = d.s.db.Read(ctx, func(q Query) error {
		return q.Each(`SELECT `+versionColumns+` FROM definitions`+c.where()+` ORDER BY name LIMIT ?`, func(row Scanner) error {
			v, err := scanVersion[T](row)
			if err == nil {
				page.add(v.Version, archive.Cursor{Texts: []string{v.Definition.DefinitionName()}})
			}
			return err
		}, append(c.args, limit+1)...)
	})
	return page.done(err)
}

// History implements [gaea.DefinitionStore].
func (d definitions[T]) History(ctx context.Context, name string) ([]gaea.Version[T], error) {
	var all []gaea.Version[T]
	err := d.s.db.Read(ctx, func(q Query) error {
		return q.Each(`SELECT `+versionColumns+` FROM definitions WHERE kind = ? AND name = ? ORDER BY number DESC`, func(row Scanner) error {
			v, err := scanVersion[T](row)
			all = append(all, v.Version)
			return err
		}, string(d.kind), name)
	})
	if err == nil && len(all) == 0 {
		err = gaea.Errorf(gaea.CodeNotFound, "there was never a %s %q", d.noun, name)
	}
	return all, err
}
