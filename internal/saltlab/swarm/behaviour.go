package swarm

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Behaviour is how a minion differs from one that answers everything at once. The zero value is that one. A minion may have
// several: each job is met by those whose Functions match, together.
type Behaviour struct {
	// Functions are globs of the functions whose jobs are met this way. Where it is empty, these are all but saltutil.*, with
	// which a master asks about jobs; for Silent they are all.
	Functions []string `yaml:"functions"`
	// Chance is the share of those jobs that are met this way, above 0 and up to 1; 0 means all.
	Chance float64 `yaml:"chance"`

	// Slow is how much longer a job runs.
	Slow Span `yaml:"slow"`
	// Silent runs the job and never returns it.
	Silent bool `yaml:"silent"`
	// Late is how long a return takes to leave when the job is over: the minion then says that no such job runs.
	Late Span `yaml:"late"`
	// Twice sends each return twice.
	Twice bool `yaml:"twice"`
	// WrongJID sends the return under a job id that nobody published, instead of its own.
	WrongJID bool `yaml:"wrong_jid"`
	// Huge replaces what is returned by a text of so many bytes, up to MaxHuge.
	Huge int `yaml:"huge"`
	// Hostile replaces what is returned by something that readers stumble over.
	Hostile Hostile `yaml:"hostile"`
	// Fail has the job end with this exit code and a text, as a function that raised an error; 0: it does not.
	Fail int `yaml:"fail"`
	// Dies ends the minion in the middle of a job: with it go its links, what it runs and what it has not sent.
	Dies *Death `yaml:"dies"`

	// IgnoresTerm: what a job has started outlives the job's SIGTERM, unseen by find_job.
	IgnoresTerm bool `yaml:"ignores_term"`
	// IgnoresKill: a job outlives each signal, says that it runs, and returns in the end.
	IgnoresKill bool `yaml:"ignores_kill"`
	// NoProc: commands cannot look at the minion's processes, as where there is no /proc.
	NoProc bool `yaml:"no_proc"`

	// Down: the minion was accepted once, so that a master expects it, and is away. Swarm.Up ends it.
	Down bool `yaml:"down"`
	// Flaps takes the minion off the network again and again. What it runs goes on, and is sent when it is back.
	Flaps *Flaps `yaml:"flaps"`
	// Drifts are changes that somebody makes to the minion behind Salt's back.
	Drifts []Drifts `yaml:"drifts"`
	// Clock is how far the minion's clock is ahead; negative: behind.
	Clock time.Duration `yaml:"clock"`
}

// MaxHuge is the largest value of Behaviour.Huge, in bytes.
const MaxHuge = 64 << 20

// Death is the end of a minion in the middle of a job, and its return.
type Death struct {
	After Span `yaml:"after"` // how long the job has run by then; the job runs at least so long
	For   Span `yaml:"for"`   // how long the minion stays away; 0: until Swarm.Up
}

// Flaps are the times on and off the network, which alternate and begin with Up. Each is drawn anew.
type Flaps struct {
	Up   Span `yaml:"up"`
	Down Span `yaml:"down"`
}

// Drifts says when a minion's states drift, counted from when it was accepted first.
type Drifts struct {
	After  Span     `yaml:"after"`
	Every  Span     `yaml:"every"`  // again and again after that; 0: once
	States []string `yaml:"states"` // ids of states; none: one that is drawn each time
}

// Hostile is a kind of return that is valid on the wire and that readers stumble over.
type Hostile string

// The hostile returns.
const (
	HostileNone    Hostile = ""
	HostileNaN     Hostile = "nan"     // numbers that JSON has not
	HostileKeys    Hostile = "keys"    // keys that are numbers, nothing and not unique as text
	HostileBytes   Hostile = "bytes"   // text that is no UTF-8
	HostileControl Hostile = "control" // zero bytes, escape sequences, marks of right-to-left text
	HostileMarkup  Hostile = "markup"  // HTML, SQL and templates
	HostileDeep    Hostile = "deep"    // lists 120 deep
	HostileStates  Hostile = "states"  // what looks like states and is not: keys without parts, results that are text
)

var hostiles = []Hostile{HostileNaN, HostileKeys, HostileBytes, HostileControl, HostileMarkup, HostileDeep, HostileStates}

// value is the return itself.
func (h Hostile) value() any {
	switch h {
	case HostileNaN:
		return packed("\x93\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00\xcb\xff\xf0\x00\x00\x00\x00\x00\x00")
	case HostileKeys:
		return packed("\x84\x01\xa1a\xa11\xa1b\xc0\xa1c\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\xa1d")
	case HostileBytes:
		return map[string]any{"latin1": "caf\xe9", "cut": "\xe4\xb8", "raw": packed("\xc4\x04\x00\xff\xfe\x80")}
	case HostileControl:
		return "zero\x00, escape \x1b[2J\x1b]0;title\x07, right to left \u202etxt.exe\u2066, line\u2028end\r\n"
	case HostileMarkup:
		return "<script>alert(1)</script>'; DROP TABLE returns; -- {{ grains.id }} ${PATH} %s%n $(id)"
	case HostileDeep:
		deep := make(packed, 0, 121)
		for range 120 {
			deep = append(deep, 0x91)
		}
		return append(deep, 0xc0)
	case HostileStates:
		return map[string]any{
			"no parts": map[string]any{"result": true}, "a_|-b_|-c_|-d": "text",
			"file_|-_|-_|-_|-managed": map[string]any{"result": "true", "changes": []any{1}, "__run_num__": "first"},
			"cmd_|-x_|-x_|-run":       map[string]any{"result": nil, "changes": "much", "comment": []any{"a", nil}, "duration": "long"},
		}
	default:
		return nil
	}
}

// Span is a length of time, or the bounds between which each one is drawn. As text it is "2s", or "1s..3s".
type Span struct{ Min, Max time.Duration }

// Exactly is a span without a choice.
func Exactly(d time.Duration) Span { return Span{Min: d, Max: d} }

// Between is a span from min to max.
func Between(least, most time.Duration) Span { return Span{Min: least, Max: most} }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Span) UnmarshalText(b []byte) error {
	low, high, ranged := strings.Cut(string(b), "..")
	if !ranged {
		high = low
	}
	least, err := time.ParseDuration(strings.TrimSpace(low))
	if err != nil {
		return fmt.Errorf("%q is no time such as 2s, or 1s..3s", b)
	}
	most, err := time.ParseDuration(strings.TrimSpace(high))
	if err != nil {
		return fmt.Errorf("%q is no time such as 2s, or 1s..3s", b)
	}
	*s = Span{Min: least, Max: most}
	return nil
}

// String is the text that UnmarshalText reads.
func (s Span) String() string {
	if s.Min == s.Max {
		return s.Min.String()
	}
	return s.Min.String() + ".." + s.Max.String()
}

func (s Span) isZero() bool { return s == Span{} }

func (s Span) draw(r *rand.Rand) time.Duration {
	if s.Max <= s.Min {
		return s.Min
	}
	return s.Min + time.Duration(r.Int64N(int64(s.Max-s.Min)+1))
}

func (s Span) validate(field string) error {
	if s.Min < 0 || s.Max < s.Min {
		return fmt.Errorf("swarm: %s is %s: it must not be negative, and the first time not above the second", field, s)
	}
	return nil
}

// Share is how many of a group's minions are meant: a number of them, or a percentage. The zero value means all.
type Share struct {
	count   int
	percent float64
}

// Count is a share of n minions; no more than there are.
func Count(n int) Share { return Share{count: n} }

// Percent is a share of p hundredths, rounded up to whole minions.
func Percent(p float64) Share { return Share{percent: p} }

// UnmarshalText implements encoding.TextUnmarshaler: "5", or "10%".
func (s *Share) UnmarshalText(b []byte) error {
	if number, isPercent := strings.CutSuffix(strings.TrimSpace(string(b)), "%"); isPercent {
		p, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return fmt.Errorf("%q is no share such as 5, or 10%%", b)
		}
		*s = Percent(p)
		return nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return fmt.Errorf("%q is no share such as 5, or 10%%", b)
	}
	*s = Count(n)
	return nil
}

func (s Share) validate(field string) error {
	if s.count < 0 || !(s.percent >= 0 && s.percent <= 100) {
		return fmt.Errorf("swarm: %s must be a number of minions, or 0%% to 100%%", field)
	}
	return nil
}

// of is how many of n minions are meant.
func (s Share) of(n int) int {
	switch {
	case s.percent > 0:
		return min(n, int((float64(n)*s.percent+99.999999)/100))
	case s.count > 0:
		return min(n, s.count)
	default:
		return n
	}
}

func (b *Behaviour) validate(field string) error {
	if !(b.Chance >= 0 && b.Chance <= 1) {
		return fmt.Errorf("swarm: %s.chance is %v: it is a share, from 0 to 1", field, b.Chance)
	}
	if b.Huge < 0 || b.Huge > MaxHuge {
		return fmt.Errorf("swarm: %s.huge is %d bytes: at most %d are sent", field, b.Huge, MaxHuge)
	}
	if b.Fail < 0 || b.Fail > 255 {
		return fmt.Errorf("swarm: %s.fail is %d: it is an exit code", field, b.Fail)
	}
	if b.Hostile != HostileNone && b.Hostile.value() == nil {
		return fmt.Errorf("swarm: %s.hostile is %q: it is one of %q", field, b.Hostile, hostiles)
	}
	spans := map[string]Span{"slow": b.Slow, "late": b.Late}
	if b.Dies != nil {
		spans["dies.after"], spans["dies.for"] = b.Dies.After, b.Dies.For
	}
	if b.Flaps != nil {
		spans["flaps.up"], spans["flaps.down"] = b.Flaps.Up, b.Flaps.Down
		if b.Flaps.Up.Min <= 0 || b.Flaps.Down.Min <= 0 {
			return fmt.Errorf("swarm: %s.flaps needs times up and down that are above 0", field)
		}
	}
	for i, drifts := range b.Drifts {
		spans[fmt.Sprintf("drifts[%d].after", i)], spans[fmt.Sprintf("drifts[%d].every", i)] = drifts.After, drifts.Every
	}
	for name, span := range spans {
		if err := span.validate(field + "." + name); err != nil {
			return err
		}
	}
	return nil
}

// fate is what a job of a minion meets: all behaviours that hit it, together, with each span drawn.
type fate struct {
	slow, late      time.Duration
	silent, twice   bool
	wrongJID        bool
	huge, fail      int
	hostile         Hostile
	dies            bool
	diesAfter, away time.Duration
	ignoresTerm     bool
	ignoresKill     bool
}

// drawFate decides what a job meets. What is drawn depends on the minion's seed and on how many jobs it had, on nothing else.
func drawFate(behaviours []Behaviour, fun string, r *rand.Rand) fate {
	var f fate
	for i := range behaviours {
		b := &behaviours[i]
		// Each is drawn for each job, whether or not it matches: so another function changes nothing for those that follow.
		hit := b.Chance == 0 || r.Float64() < b.Chance
		slow, late := b.Slow.draw(r), b.Late.draw(r)
		if hit && b.Silent && (len(b.Functions) == 0 || b.matches(fun)) {
			f.silent = true
		}
		if !hit || !b.matches(fun) {
			continue
		}
		f.slow, f.late = f.slow+slow, f.late+late
		f.twice, f.wrongJID = f.twice || b.Twice, f.wrongJID || b.WrongJID
		f.ignoresTerm, f.ignoresKill = f.ignoresTerm || b.IgnoresTerm, f.ignoresKill || b.IgnoresKill
		f.huge, f.fail = max(f.huge, b.Huge), max(f.fail, b.Fail)
		if b.Hostile != HostileNone {
			f.hostile = b.Hostile
		}
		if b.Dies != nil {
			f.dies, f.diesAfter, f.away = true, b.Dies.After.draw(r), b.Dies.For.draw(r)
		}
	}
	return f
}

func (b *Behaviour) matches(fun string) bool {
	if len(b.Functions) == 0 {
		return !strings.HasPrefix(fun, "saltutil.")
	}
	for _, pattern := range b.Functions {
		if glob(pattern, fun) {
			return true
		}
	}
	return false
}
