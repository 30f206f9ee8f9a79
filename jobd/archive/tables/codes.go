package tables

import (
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// outcomes are the numbers of outcomes in the tables: the place in this list, from 1. It is only ever appended to.
var outcomes = []gaea.Outcome{
	gaea.OutcomePending, gaea.OutcomeSucceeded, gaea.OutcomeInSync, gaea.OutcomeChanged, gaea.OutcomeWouldChange, gaea.OutcomeFailed,
	gaea.OutcomeCouldNotRun, gaea.OutcomeNoReturn, gaea.OutcomeUnreachable, gaea.OutcomeKilled, gaea.OutcomeSkipped,
}

// OutcomeCode is the number of an outcome, 0 for none; an unknown one is CodeInvalid.
func OutcomeCode(o gaea.Outcome) (int64, error) {
	if o == "" {
		return 0, nil
	}
	if i := slices.Index(outcomes, o); i >= 0 {
		return int64(i + 1), nil
	}
	return 0, gaea.Invalid("outcome", "%q is not an outcome", o)
}

// OutcomeOf is the outcome of a number; empty where a newer jobd gave it.
func OutcomeOf(code int64) gaea.Outcome {
	if code < 1 || code > int64(len(outcomes)) {
		return ""
	}
	return outcomes[code-1]
}

// sources are the numbers of sources, as outcomes are of outcomes; what comes first is the better source of a job.
var sources = []gaea.Source{gaea.SourceBus, gaea.SourceCache}

// SourceCode is the number of a source, 0 for none; an unknown one is CodeInvalid.
func SourceCode(s gaea.Source) (int64, error) {
	if s == "" {
		return 0, nil
	}
	if i := slices.Index(sources, s); i >= 0 {
		return int64(i + 1), nil
	}
	return 0, gaea.Invalid("source", "%q is not a source; use %q or %q", s, gaea.SourceBus, gaea.SourceCache)
}

// SourceOf is the source of a number; empty where a newer jobd gave it.
func SourceOf(code int64) gaea.Source {
	if code < 1 || code > int64(len(sources)) {
		return ""
	}
	return sources[code-1]
}

// origins are the numbers of origins, as outcomes are of outcomes.
var origins = []gaea.Origin{
	gaea.OriginPublish, gaea.OriginBatch, gaea.OriginRunner, gaea.OriginOrchestration, gaea.OriginSaltCall, gaea.OriginSchedule, gaea.OriginSaltSSH,
}

// OriginCode is the number of an origin, 0 for none; an unknown one is CodeInvalid.
func OriginCode(o gaea.Origin) (int64, error) {
	if o == "" {
		return 0, nil
	}
	if i := slices.Index(origins, o); i >= 0 {
		return int64(i + 1), nil
	}
	return 0, gaea.Invalid("origin", "%q is not an origin of a job", o)
}

// OriginOf is the origin of a number; empty where a newer jobd gave it.
func OriginOf(code int64) gaea.Origin {
	if code < 1 || code > int64(len(origins)) {
		return ""
	}
	return origins[code-1]
}

// Micros is a time as it is in the tables; 0 for the zero time.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// TimeOf is the time of a number that Micros made.
func TimeOf(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// Text is a text that may be missing.
func Text[T ~string | ~[]byte](s T) any {
	if len(s) == 0 {
		return nil
	}
	return string(s)
}
