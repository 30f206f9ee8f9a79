package gaea

import "time"

// ExportSchema is the version of an export's form. Within a version, fields are only ever added.
const ExportSchema = 1

// ExportKind is what an export has.
type ExportKind string

// The kinds, in the order in which an export has them.
const (
	ExportJobs    ExportKind = "jobs"
	ExportReturns ExportKind = "returns"
	ExportEvents  ExportKind = "events"
	ExportRuns    ExportKind = "runs"
)

// ExportKinds lists the kinds.
func ExportKinds() []ExportKind {
	return []ExportKind{ExportJobs, ExportReturns, ExportEvents, ExportRuns}
}

// ExportRequest says what of the archive is exported. Zero fields choose nothing out.
type ExportRequest struct {
	Kinds  []ExportKind
	Master string
	Since  time.Time // jobs that were published, returns that were received, events of, and runs that were created at or after
	Until  time.Time // and before; now, where it is zero
}

// The types of an export's lines.
const (
	LineHeader = "header" // the first line
	LineJob    = "job"
	LineReturn = "return"
	LineEvent  = "event"
	LineRun    = "run"
	LineEnd    = "end"   // the last line of an export that is whole
	LineError  = "error" // the last line of one that is not
)

// ExportLine is one line of an export: T is an [ExportHeader], a [Job], a [Return], an [Event], a [Run], an [ExportEnd] or an
// [ExportError], as Type says.
type ExportLine[T any] struct {
	Type string `json:"type"`
	Data T      `json:"data"`
}

// ExportHeader says what an export has.
type ExportHeader struct {
	Schema   int          `json:"schema"`
	Exported time.Time    `json:"exported"`
	Kinds    []ExportKind `json:"kinds"`
	Master   string       `json:"master,omitempty"`
	Since    time.Time    `json:"since,omitzero"`
	Until    time.Time    `json:"until"`
}

// ExportEnd counts the lines of each kind.
type ExportEnd struct {
	Jobs    int `json:"jobs"`
	Returns int `json:"returns"`
	Events  int `json:"events"`
	Runs    int `json:"runs"`
}

// ExportError says why an export ended early.
type ExportError struct {
	Code   Code   `json:"code"`
	Detail string `json:"detail"`
}
