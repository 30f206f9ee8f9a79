package tables

import (
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// pager gathers one page; a query asks for one row more than the page has, to know whether there is another.
type pager[T any] struct {
	list  string
	limit int
	items []T
	last  archive.Cursor
	more  bool
}

func (p *pager[T]) add(item T, place archive.Cursor) {
	if len(p.items) == p.limit {
		p.more = true
		return
	}
	p.items = append(p.items, item)
	p.last = place
}

// pass goes over a row that is not for the page, and leaves no place for another.
func (p *pager[T]) pass(place archive.Cursor) {
	p.limit--
	p.last = place
}

func (p *pager[T]) done(err error) (gaea.Page[T], error) {
	if err != nil {
		return gaea.Page[T]{}, err
	}
	page := gaea.Page[T]{Items: p.items}
	if page.Items == nil {
		page.Items = []T{}
	}
	if p.more {
		page.Next = p.last.Encode(p.list)
	}
	return page, nil
}

// between adds that a time is at or after since and before until, where they are set.
func (c *conditions) between(column string, since, until time.Time) {
	if !since.IsZero() {
		c.add(column+" >= ?", Micros(since))
	}
	if !until.IsZero() {
		c.add(column+" < ?", Micros(until))
	}
}

// after adds that a row comes after a cursor in descending order of the columns.
func (c *conditions) after(cursor *archive.Cursor, columns ...string) {
	if cursor == nil {
		return
	}
	var keys []any
	for _, n := range cursor.Numbers {
		keys = append(keys, n)
	}
	for _, t := range cursor.Texts {
		keys = append(keys, t)
	}
	c.add("("+strings.Join(columns, ", ")+") < ("+marks(len(columns))+")", keys...)
}
