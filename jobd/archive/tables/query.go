package tables

import (
	"strings"
	"unicode/utf8"
)

// conditions gather what must hold, with its arguments.
type conditions struct {
	dialect *Dialect
	terms   []string
	args    []any
}

func (c *conditions) add(term string, args ...any) {
	c.terms = append(c.terms, term)
	c.args = append(c.args, args...)
}

// equal adds that a column is a text, which may be long, by the index that has it.
func (c *conditions) equal(column, value string) {
	term, args := c.dialect.equal(column, value)
	c.add(term, args...)
}

func (d *Dialect) equal(column, value string) (term string, args []any) {
	if d.IndexedText == nil {
		return column + " = ?", []any{value}
	}
	return "(" + d.IndexedText(column) + " = " + d.IndexedText("?") + " AND " + column + " = ?)", []any{value, value}
}

// oneOf adds that a column has one of the values; where there are none, nothing is found. One value leaves the rows in the
// order of an index that goes on with a time.
func (c *conditions) oneOf(column string, values []any) {
	switch len(values) {
	case 0:
		c.add("FALSE")
	case 1:
		c.add(column+" = ?", values[0])
	default:
		c.add(column+" IN ("+marks(len(values))+")", values...)
	}
}

// marks are the places of so many values.
func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }

// idsOf reads numbers.
func idsOf(q Query, text string, args ...any) ([]any, error) {
	var ids []any
	err := q.Each(text, func(row Scanner) error {
		var id int64
		err := row.Scan(&id)
		ids = append(ids, id)
		return err
	}, args...)
	return ids, err
}

// minionIDs are the numbers of a minion: one for each master that has it. An empty master means any.
func minionIDs(q Query, master, minion string) ([]any, error) {
	named, args := q.Dialect().equal("name", minion)
	if master == "" {
		return idsOf(q, `SELECT id FROM minions WHERE `+named+` AND master_id IN (SELECT id FROM masters)`, args...)
	}
	return idsOf(q, `SELECT id FROM minions WHERE `+named+` AND master_id IN (SELECT id FROM masters WHERE name = ?)`, append(args, master)...)
}

// ofMaster adds that a row belongs to a master. No index is used for that: most archives have one master, and it would be a
// reason to sort.
func (c *conditions) ofMaster(column, master string) {
	if master != "" {
		c.add(c.dialect.Unindexed+column+" = (SELECT id FROM masters WHERE name = ?)", master)
	}
}

// prefixed adds that a column is a text, or begins with it where that ends in "*".
func (c *conditions) prefixed(column, s string) {
	prefix, begins := strings.CutSuffix(s, "*")
	switch {
	case s == "" || s == "*":
	case !begins:
		c.equal(column, s)
	default:
		c.add(c.dialect.Unindexed+column+" >= ?", prefix) // the index is for the order by time
		if end, ok := after(prefix); ok {
			c.add(c.dialect.Unindexed+column+" < ?", end)
		}
	}
}

// globbed adds that a column is a text, in which each "*" stands for any text. What is before the first is looked for by prefixed.
func (c *conditions) globbed(column, glob string) {
	prefix, rest, found := strings.Cut(glob, "*")
	if !found {
		c.prefixed(column, glob)
		return
	}
	c.prefixed(column, prefix+"*")
	if rest != "" {
		c.add(c.dialect.Unindexed+c.dialect.Like(column, "?"), c.dialect.Pattern(glob))
	}
}

// after is the first text that comes after all that begin with a prefix, byte by byte as databases compare them.
func after(prefix string) (string, bool) {
	for prefix != "" {
		last, size := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-size]
		switch last {
		case utf8.MaxRune:
		case 0xD7FF: // what follows in numbers stands for halves of characters
			return prefix + "\uE000", true
		default:
			return prefix + string(last+1), true
		}
	}
	return "", false
}

// where is the WHERE clause; empty where nothing must hold.
func (c *conditions) where() string {
	if len(c.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.terms, " AND ")
}
