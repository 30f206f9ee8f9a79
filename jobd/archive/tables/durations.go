package tables

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// SlowState is from how long on a state counts as slow. What is quicker is not counted: most states of most runs are, and to
// count them would cost as much as to store them.
const SlowState = 100 * time.Millisecond

// longest bounds a duration that a minion tells: sums of any number of them are bounded by HugeTotal.
const longest = int64(30 * 24 * time.Hour / time.Microsecond)

// HugeTotal is what a sum of durations stays at: more would not fit a number of the database.
const HugeTotal = int64(4e18)

// DurationOf is a state's duration in microseconds; 0 where it told none.
func DurationOf(s *gaea.StateResult) int64 {
	if !(s.Duration > 0) { // not a number, too
		return 0
	}
	return int64(min(s.Duration*1000, float64(longest)))
}

// RunDuration is how long the states of a return took together, in microseconds; nil where there are none.
func RunDuration(r *gaea.Return) any {
	if len(r.States) == 0 {
		return nil
	}
	return runDuration(r)
}

func runDuration(r *gaea.Return) (total int64) {
	for i := range r.States {
		total += DurationOf(&r.States[i])
	}
	return min(total, longest)
}

// millis are the milliseconds of a duration.
func millis(micros int64) float64 { return float64(micros) / 1000 }

// millisOrNone are those of one that may not be known.
func millisOrNone(micros *int64) *float64 {
	if micros == nil {
		return nil
	}
	return new(millis(*micros))
}

// Durations gathers how long the state runs of a batch took. The zero Durations is empty.
type Durations struct {
	Runs map[RunsOfDay]Took
	Slow map[SlowOfDay]SlowTook

	function, args, applied string // of the return before: most of a batch are of one job
}

// RunsOfDay are the runs of one day that took about the same time.
type RunsOfDay struct {
	Applied string
	Test    bool
	Day     int64
	Bucket  int64
}

// SlowOfDay is a state on one day.
type SlowOfDay struct{ State, Day int64 }

// Took is how long several things took, in microseconds.
type Took struct{ Runs, Total, Slowest int64 }

// SlowTook is how long a state took, and where it took the longest.
type SlowTook struct {
	Took
	Minion int64
	JID    string
}

// Add adds a return that is stored now. state numbers its states.
func (d *Durations) Add(r *gaea.Return, minion int64, state func(i int) int64) {
	if len(r.States) == 0 {
		return
	}
	if d.Runs == nil {
		d.Runs, d.Slow = map[RunsOfDay]Took{}, map[SlowOfDay]SlowTook{}
	}
	day := DayOf(Micros(r.Stamp))
	whole := runDuration(r)
	at := RunsOfDay{Applied: d.name(r), Test: r.Test, Day: day, Bucket: bucketOf(whole)}
	d.Runs[at] = d.Runs[at].and(whole)
	for i := range r.States {
		took := DurationOf(&r.States[i])
		if took < int64(SlowState/time.Microsecond) {
			continue
		}
		at := SlowOfDay{state(i), day}
		s := d.Slow[at]
		if took > s.Slowest {
			s.Minion, s.JID = minion, r.JID
		}
		s.Took = s.and(took)
		d.Slow[at] = s
	}
}

func (t Took) and(micros int64) Took {
	return Took{Runs: t.Runs + 1, Total: min(t.Total+micros, HugeTotal), Slowest: max(t.Slowest, micros)}
}

// microsADay are the microseconds of a day.
const microsADay = int64(24 * time.Hour / time.Microsecond)

// DayOf is the day of a time of the tables, in days since 1970; 0 for what is before.
func DayOf(micros int64) int64 { return max(micros, 0) / microsADay }

// bucketsPerOctave says how fine durations are kept: each bucket ends a twelfth after the one before.
const bucketsPerOctave = 8

// bucketOf is the bucket of a duration: the first that ends at or after it.
func bucketOf(micros int64) int64 {
	if micros <= 1 {
		return 0
	}
	return int64(math.Ceil(math.Log2(float64(micros)) * bucketsPerOctave))
}

// bucketEnd is the longest duration of a bucket.
func bucketEnd(bucket int64) int64 { return int64(math.Exp2(float64(bucket) / bucketsPerOctave)) }

func (d *Durations) name(r *gaea.Return) string {
	if d.applied == "" || d.function != r.Function || d.args != string(r.Args) {
		d.function, d.args, d.applied = r.Function, string(r.Args), Applied(r.Function, r.Args)
	}
	return d.applied
}

// Highstate is what Applied calls a highstate.
const Highstate = "highstate"

// maxApplied bounds what Applied returns: it is in an index.
const maxApplied = 500

// Applied names what a state run applied: "highstate", or its SLS files with commas between; the function before them where it
// is none of those that usually apply states. A long list is cut, and told apart by a digest.
func Applied(function string, args json.RawMessage) string {
	list := strings.Join(AppliedSLS(args), ",")
	switch function {
	case "state.apply", "state.sls":
		if list == "" {
			list = Highstate
		}
	case "state.highstate":
		list = Highstate
	default:
		list = strings.TrimSpace(function + " " + list)
	}
	if len(list) > maxApplied {
		digest := sha256.Sum256([]byte(list))
		list = strings.ToValidUTF8(list[:maxApplied-20], "") + "… " + hex.EncodeToString(digest[:8])
	}
	return list
}

// keyword is salt.utils.args.KWARG_REGEX.
var keyword = regexp.MustCompile(`^[\p{L}_][\p{L}\p{N}_.-]*=`)

// AppliedSLS are the SLS files that a state run's arguments name, in their order.
func AppliedSLS(args json.RawMessage) []string {
	var list []any
	if json.Unmarshal(args, &list) != nil {
		return nil
	}
	var mods any
	for _, arg := range list {
		switch arg := arg.(type) {
		case map[string]any:
			if arg["__kwarg__"] == true && arg["mods"] != nil {
				mods = arg["mods"]
			}
		case string:
			if named, ok := strings.CutPrefix(arg, "mods="); ok {
				mods = named
			} else if mods == nil && !keyword.MatchString(arg) {
				mods = arg
			}
		case []any:
			if mods == nil {
				mods = arg
			}
		}
	}
	var names []string
	switch mods := mods.(type) {
	case string:
		names = strings.Split(mods, ",")
	case []any:
		for _, m := range mods {
			if s, ok := m.(string); ok {
				names = append(names, s)
			}
		}
	}
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	return slices.DeleteFunc(names, func(s string) bool { return s == "" })
}
