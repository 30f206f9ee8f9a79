package postgres

// Tests change the tables of a store, and look at its partitions.
var (
	Tables    = migrator
	Partition = partition
	WholeDay  = wholeDay
)
