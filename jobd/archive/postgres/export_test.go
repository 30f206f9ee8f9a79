package postgres

// Tests change the tables of a store, and look at its partitions.
var (
	Tables    = migrator
	Partition = partition
	WholeDay  = wholeDay
	JobHeld   = dialect.JobHeld
)

// DigestOf is what a name is found by.
func DigestOf(master int64, parts ...string) []byte {
	d := digestOf(master, parts...)
	return d[:]
}
