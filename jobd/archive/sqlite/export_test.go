package sqlite

// Benchmarks write beside a store as its writer does, and tests change its tables.
var (
	WriterDSN = writerDSN
	Tables    = migrator
)
