package killtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdlab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
)

// Config says where to play and what. All fields are needed but for those that say otherwise.
type Config struct {
	Lab    *saltlab.Lab       // at least two minions, all up
	Jobd   *jobdlab.Jobd      // running; it is killed and started again, and runs at the end
	Client *jobdclient.Client // of that jobd, with the role apply
	Kills  int                // how many have to fall between a run's acceptance and its end, from 1
	Seed   uint64             // what is played follows from it, but for what chance does in the time between
	First  int                // the round to begin with; 0 means 1
	Say    func(line string)  // is given a line for a person after each round; may be nil
}

// Summary is what was played and held.
type Summary struct {
	Rounds  int
	Kills   int            // all of them
	Within  int            // those that fell between a run's acceptance and its end
	Stages  map[string]int // where the runs were at the kills
	Runs    int            // those that actions made included
	Jobs    int
	Returns int
	Restart time.Duration // the longest time from jobd's start to its readiness

	Verified gaea.VerifyReport // of all jobs since the play began, those that no run made included: what it counts
}

// String tells the summary to a person.
func (s Summary) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d rounds, %d kills, %d of them within the life of a run; %d runs, %d jobs, %d returns; jobd was ready again within %s\n",
		s.Rounds, s.Kills, s.Within, s.Runs, s.Jobs, s.Returns, s.Restart.Round(10*time.Millisecond))
	fmt.Fprintf(&text, "archive verify: %d jobs and %d returns of the job cache compared, no difference\n", s.Verified.Jobs, s.Verified.Returns)
	text.WriteString("where runs were when jobd was killed:")
	for _, name := range slices.SortedFunc(maps.Keys(s.Stages), byStage) {
		fmt.Fprintf(&text, "\n  %4d  %s", s.Stages[name], name)
	}
	return text.String()
}

func byStage(a, b string) int { return slices.Index(stages, a) - slices.Index(stages, b) }

// ViolationError says that a round did not end as it has to.
type ViolationError struct {
	Seed  uint64
	Round int
	Plan  string // what was played
	What  string // what is wrong
	Facts string // the runs, the traces and the end of jobd's log
}

func (v *ViolationError) Error() string {
	return fmt.Sprintf("round %d of seed %d (%s): %s\n%s", v.Round, v.Seed, v.Plan, v.What, v.Facts)
}

// session is what rounds share.
type session struct {
	cfg     Config
	traces  traces
	name    string // of this session, for idempotency keys
	began   time.Time
	summary Summary
	played  []*round
}

// Play plays rounds until enough kills fell within the life of a run. The error is a *ViolationError where something that has to
// hold did not; it ends the play. Where ctx ends, the error is its own.
func Play(ctx context.Context, cfg Config) (Summary, error) {
	if cfg.Say == nil {
		cfg.Say = func(string) {}
	}
	first := max(cfg.First, 1)
	s := &session{cfg: cfg, traces: traces{cfg.Lab}, name: rand.Text(), began: time.Now(), summary: Summary{Stages: map[string]int{}}}
	if err := s.traces.install(); err != nil {
		return s.summary, err
	}
	defer func() {
		for _, r := range s.played {
			_ = s.traces.clear(r.number) // files of the lab, which goes with them
		}
	}()
	for number := first; s.summary.Within < cfg.Kills; number++ {
		if number-first > 3*cfg.Kills+10 {
			return s.summary, fmt.Errorf("of %d kills only %d fell within the life of a run", s.summary.Kills, s.summary.Within)
		}
		if err := s.play(ctx, number); err != nil {
			return s.summary, err
		}
	}
	err := s.audit(ctx)
	return s.summary, err
}

// play plays one round and takes it into the summary.
func (s *session) play(ctx context.Context, number int) error {
	if err := s.traces.clear(number); err != nil {
		return err
	}
	began := time.Now()
	r := &round{session: s, number: number, plan: planOf(s.cfg.Seed, number, s.traces)}
	s.played = append(s.played, r)
	if err := r.play(ctx); err != nil {
		return r.blame(ctx, err)
	}
	if err := r.verify(ctx); err != nil {
		return r.blame(ctx, err)
	}
	where := s.take(r)
	s.cfg.Say(fmt.Sprintf("round %3d  %3d of %d kills  %s, killed %s: %s; ended %s; %.1f s", number, s.summary.Within, s.cfg.Kills,
		r.plan.shape, r.plan.moment, where, r.ends(), time.Since(began).Seconds()))
	return nil
}

// take counts a round that held, and says where its runs were at its kills.
func (s *session) take(r *round) string {
	sum := &s.summary
	sum.Rounds++
	sum.Kills += len(r.kills)
	var at []string
	for _, kill := range r.kills {
		within := false
		for _, j := range r.jobs {
			where := stage(j, kill)
			if where == ended && len(r.jobs) > 1 {
				continue // it is the other one that was to be hit
			}
			sum.Stages[where]++
			at = append(at, where)
			within = within || where != ended && where != beingAccepted
		}
		if within {
			sum.Within++
		}
	}
	for _, j := range r.jobs {
		sum.Runs += 1 + len(j.children)
	}
	sum.Jobs += len(r.jids)
	for _, n := range r.jids {
		sum.Returns += n
	}
	return strings.Join(at, ", ")
}

// audit looks at all rounds once more: nothing may have run, or come, after their runs had ended.
func (s *session) audit(ctx context.Context) error {
	for _, r := range s.played {
		if err := r.unchanged(ctx); err != nil {
			return r.blame(ctx, err)
		}
	}
	last := s.played[len(s.played)-1]
	limited, cancel := context.WithTimeout(ctx, archiveLimit)
	defer cancel()
	for {
		report, err := s.whole(ctx)
		if err == nil {
			s.summary.Verified = report
			return nil
		}
		if pause(limited, calmPoll) != nil {
			return last.blame(ctx, err)
		}
	}
}

// whole has jobd compare its archive with the master's job cache since the play began.
func (s *session) whole(ctx context.Context) (all gaea.VerifyReport, err error) {
	for req := (gaea.VerifyRequest{Since: s.began}); ; {
		report, err := s.cfg.Client.VerifyArchive(ctx, req)
		if err != nil {
			return all, err
		}
		if len(report.Differences)+len(report.Unread) > 0 || report.Beyond > 0 {
			return all, violation("archive verify finds %+v, unread %+v, and %d returns beyond the job cache", report.Differences, report.Unread, report.Beyond)
		}
		all.Jobs, all.Returns = all.Jobs+report.Jobs, all.Returns+report.Returns
		if req.After = report.Next; req.After == "" {
			return all, nil
		}
	}
}

// violated is an error that becomes a [ViolationError]; others are trouble of the lab or an interrupt.
type violated struct{ what string }

func (v violated) Error() string { return v.what }

func violation(format string, args ...any) error { return violated{fmt.Sprintf(format, args...)} }

// blame makes a violation of what was found, with all that helps to understand it.
func (r *round) blame(ctx context.Context, err error) error {
	what, ok := errors.AsType[violated](err)
	if !ok {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("round %d of seed %d (%s): %w; jobd's log ends in:\n%s", r.number, r.cfg.Seed, r.describe(), err, r.log())
	}
	return &ViolationError{Seed: r.cfg.Seed, Round: r.number, Plan: r.describe(), What: what.what, Facts: r.facts()}
}
