package command

import (
	"fmt"
	"strconv"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

// measuredSince says to people from when on durations are known, where that is not always.
func measuredSince(w *world, f format, asked, since time.Time) {
	if f.Output == "table" && since.After(asked) {
		w.note("Durations are kept since %s; what ran before is not counted.\n", zoned(since))
	}
}

type slowestCommand struct {
	remote
	format
	SLS   string `name:"sls" help:"Only states that this SLS file declares." placeholder:"SLS"`
	Since moment `help:"From the day (UTC) of this time on: ${moments}; all for no bound. ${default} when absent." default:"7d" placeholder:"TIME"`
	Until moment `help:"To the day of the last moment before." placeholder:"TIME"`
	paging
}

// Help is printed above the list of arguments.
func (*slowestCommand) Help() string {
	return `States that took 100 ms or more, with the longest time that one took on any minion, and where that was. Quicker runs of a state are not
counted: RUNS says how often it took 100 ms or more, and MEAN how long these runs took.

Durations are kept by the day, in UTC. They are the minions' own: what a state did there, without the wait for the master.

Examples:
  jobd slowest
  jobd slowest --sls nginx --since 30d
  jobd slowest --since today --all -o csv`
}

// Run shows the slowest states.
func (c *slowestCommand) Run(w *world) error {
	f := gaea.SlowStateFilter{SLS: c.SLS, Since: c.Since.Time, Until: c.Until.Time}
	var answer gaea.Measured[gaea.SlowState]
	var err error
	answer.Page, err = gather(w, c.remote, c.paging, func(client *jobdclient.Client, p gaea.PageRequest) (gaea.Page[gaea.SlowState], error) {
		m, err := client.SlowStates(w.ctx, f, p)
		answer.Since = m.Since
		return m.Page, err
	})
	if err != nil {
		return err
	}
	header := []string{"slowest", "mean", "runs", "state", "sls", "minion", "jid"}
	if c.script() {
		header = []string{"slowest_ms", "mean_ms", "runs", "function", "id", "name", "sls", "minion", "jid"}
	}
	err = list(w, c.format, c.paging, answer, answer.Page, "The slowest states"+days(c.Since, c.Until)+":", "No state took 100 ms or more"+days(c.Since, c.Until)+".", header,
		func(s *gaea.SlowState) []string {
			slowest, mean, runs := c.took(&s.Slowest), c.took(&s.Mean), strconv.Itoa(s.Runs)
			if c.script() {
				return []string{slowest, mean, runs, s.Function, s.ID, s.Name, s.SLS, s.Minion, s.JID}
			}
			return []string{slowest, mean, runs, c.stateName(s.Function, s.ID, s.Name, s.Key), c.text(s.SLS), c.text(s.Minion), s.JID}
		})
	measuredSince(w, c.format, c.Since.Time, answer.Since)
	return err
}

// days says in words which days an answer is about. They are UTC.
func days(since, until moment) string {
	text := ""
	if !since.IsZero() {
		text += " since " + since.UTC().Format(time.DateOnly)
	}
	if !until.IsZero() {
		text += " to " + until.UTC().Add(-time.Microsecond).Format(time.DateOnly)
	}
	if text != "" {
		text += " (days in UTC)"
	}
	return text
}

type durationsCommand struct {
	remote
	format
	Applied string `arg:"" name:"what" help:"highstate, or the SLS files that a run named, with commas between, for example nginx or users,nginx."`
	Test    bool   `help:"Test runs instead of real ones."`
	Since   moment `help:"From the day (UTC) of this time on: ${moments}; all for no bound. ${default} when absent." default:"30d" placeholder:"TIME"`
	Until   moment `help:"To the day of the last moment before." placeholder:"TIME"`
	paging
}

// Help is printed above the list of arguments.
func (*durationsCommand) Help() string {
	return `One line for each day (UTC) on which it ran: how many minions returned, and how long the states of one run took together, as the minion
measured them: the median, what 95 of 100 runs did not exceed, and the longest. The first two may be up to a tenth too high.
What the minion did besides (rendering, waiting for another run) is not in it.

state.apply without SLS files is a highstate. Runs of several files are told apart by the list as it was given.

Examples:
  jobd durations highstate
  jobd durations nginx --since 90d
  jobd durations highstate --test -o csv`
}

// Run shows how long something takes over time.
func (c *durationsCommand) Run(w *world) error {
	f := gaea.RunDurationFilter{Applied: c.Applied, Test: c.Test, Since: c.Since.Time, Until: c.Until.Time}
	var answer gaea.Measured[gaea.RunDurations]
	var err error
	answer.Page, err = gather(w, c.remote, c.paging, func(client *jobdclient.Client, p gaea.PageRequest) (gaea.Page[gaea.RunDurations], error) {
		m, err := client.RunDurations(w.ctx, f, p)
		answer.Since = m.Since
		return m.Page, err
	})
	if err != nil {
		return err
	}
	header := []string{"day", "runs", "median", "p95", "slowest", "mean"}
	if c.script() {
		header = []string{"day", "runs", "median_ms", "p95_ms", "slowest_ms", "mean_ms"}
	}
	name, kind := harmless(c.Applied), ""
	if c.Test {
		kind = " in test runs"
	}
	err = list(w, c.format, c.paging, answer, answer.Page, fmt.Sprintf("How long %s took%s%s:", name, kind, days(c.Since, c.Until)),
		fmt.Sprintf("%s did not run%s%s.", name, kind, days(c.Since, c.Until)), header, func(d *gaea.RunDurations) []string {
			return []string{d.Day, strconv.Itoa(d.Runs), c.took(&d.Median), c.took(&d.P95), c.took(&d.Slowest), c.took(&d.Mean)}
		})
	measuredSince(w, c.format, c.Since.Time, answer.Since)
	return err
}
