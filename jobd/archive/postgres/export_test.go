package postgres

// Tests change the tables of a store, and look at its partitions.
var (
	Tables    = migrator
	Partition = partition
	WholeDay  = wholeDay
)

// HeldChildren asks for the jobs that belong to those of a list.
func HeldChildren() string { return numbered(dialect.HeldChildren()) }

// DigestOf is what a name is found by.
func DigestOf(master int64, parts ...string) []byte {
	d := digestOf(master, parts...)
	return d[:]
}
