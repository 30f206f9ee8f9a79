package sqlite

// WriterDSN is how a store opens its writer; benchmarks write beside it.
var WriterDSN = writerDSN
