package sqlite

import "strings"

// chunks are how many rows one statement inserts: the most that the rows left allow. A statement costs about as much as a row,
// and one is prepared for each of these.
var chunks = [...]int{16, 4, 1}

// insertion inserts rows of a table, several at once.
type insertion [len(chunks)]string

func newInsertion(into, row, rest string) insertion {
	var in insertion
	for i, n := range chunks {
		in[i] = into + ` VALUES ` + row + strings.Repeat(`, `+row, n-1) + rest
	}
	return in
}

// eachChunk calls f with a statement for the rows from one number to before another, until it was called for all n.
func (in *insertion) eachChunk(n int, f func(text string, from, to int) error) error {
	from := 0
	for i, size := range chunks {
		for ; n-from >= size; from += size {
			if err := f(in[i], from, from+size); err != nil {
				return err
			}
		}
	}
	return nil
}

// insertAll inserts n rows. args appends those of one row.
func (t *tx) insertAll(in *insertion, n int, args func(all []any, i int) []any) error {
	var all []any
	return in.eachChunk(n, func(text string, from, to int) error {
		all = all[:0]
		for i := from; i < to; i++ {
			all = args(all, i)
		}
		return t.Exec(text, all...)
	})
}
