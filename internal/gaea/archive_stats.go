package gaea

import "time"

// ArchiveStats is how much the archive holds, and how fast it grows.
type ArchiveStats struct {
	Database  string      `json:"database" enum:"sqlite,postgres"`
	DiskBytes int64       `json:"disk_bytes" doc:"the database on disk, with indexes, what waits to be folded into it, and what is free"`
	UsedBytes int64       `json:"used_bytes" doc:"of these what is in use; the rest is used before the database grows. max_size is about this"`
	MaxBytes  int64       `json:"max_bytes,omitempty" doc:"max_size of the retention; none when absent"`
	RawBytes  int64       `json:"raw_bytes" doc:"the bodies of returns as they came"`
	Ratio     float64     `json:"ratio,omitempty" doc:"raw_bytes to what returns and contents take, with their indexes"`
	Holds     int         `json:"holds" doc:"holds that are not released"`
	Measured  time.Time   `json:"measured" doc:"when the bytes of the kinds were measured; where that was earlier, they were carried on by the number of rows"`
	Kinds     []KindStats `json:"kinds"`
}

// Kinds of what the archive holds.
const (
	KindJobs     = "jobs"
	KindReturns  = "returns"
	KindContents = "contents"
	KindEvents   = "events"
	KindRuns     = "runs"
	KindOther    = "other"
)

// KindStats is what there is of one kind.
type KindStats struct {
	Kind        string    `json:"kind" enum:"jobs,returns,contents,events,runs,other" doc:"contents are distinct bodies of returns; other is names, definitions, the latest states, and the like"`
	Rows        int64     `json:"rows"`
	Bytes       int64     `json:"bytes" doc:"with indexes"`
	Oldest      time.Time `json:"oldest,omitzero"`
	RowsPerDay  float64   `json:"rows_per_day" doc:"growth over the last week or since there are measures; before there are, by the times of what is stored"`
	BytesPerDay float64   `json:"bytes_per_day"`
}
