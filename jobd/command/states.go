package command

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

// withFunction is a state as these commands print it: FUNCTION NAME.
var withFunction = regexp.MustCompile(`^([a-z0-9_]+\.[a-z0-9_]+) (.+)$`)

// stateNamed sets the filter's state: NAME, or FUNCTION NAME.
func stateNamed(f *gaea.StateFilter, text string) {
	f.State = text
	if m := withFunction.FindStringSubmatch(text); m != nil {
		f.Function, f.State = m[1], m[2]
	}
}

// stateName is a state in words: its function, its id, and its name where that is another.
func (f format) stateName(function, id, name, key string) string {
	if function == "" {
		return f.text(key)
	}
	text := function + " " + cmp.Or(name, id)
	if name != "" && name != id {
		text += " (" + id + ")"
	}
	return f.text(text)
}

type statesCommand struct {
	remote
	format
	Minion  string       `short:"m" help:"Only on this minion." placeholder:"ID"`
	SLS     string       `name:"sls" help:"Only states that this SLS file declares." placeholder:"SLS"`
	State   string       `help:"Only this state: its name or its id, or FUNCTION and one of them." placeholder:"STATE"`
	Outcome gaea.Outcome `help:"Only what stands so: ${enum}." enum:"in_sync,changed,would_change,failed," default:"" placeholder:"OUTCOME"`
	Since   moment       `help:"Only what was run or tested at or after: ${moments}." placeholder:"TIME"`
	Until   moment       `help:"And before." placeholder:"TIME"`
	paging
}

// Help is printed above the list of arguments.
func (*statesCommand) Help() string {
	return `One line for each state and minion: how the state stood there when it was last run or tested, by whatever job.

Times are in the time zone of this machine; for scripts (-o json, csv, tsv) they are in UTC.

Examples:
  jobd states --minion web1
  jobd states --sls nginx --outcome failed
  jobd states --state /etc/motd
  jobd states --state 'file.managed /etc/motd' --all -o csv`
}

// Run shows how states stand.
func (c *statesCommand) Run(w *world) error {
	f := gaea.StateFilter{Minion: c.Minion, SLS: c.SLS, Outcome: c.Outcome, Since: c.Since.Time, Until: c.Until.Time}
	stateNamed(&f, c.State)
	page, err := gather(w, c.remote, c.paging, func(client *jobdclient.Client, p gaea.PageRequest) (gaea.Page[gaea.LatestState], error) {
		return client.States(w.ctx, f, p)
	})
	if err != nil {
		return err
	}
	header := []string{"minion", "state", "sls", "outcome", "when", "took", "jid"}
	if c.script() {
		header = []string{"minion", "function", "id", "name", "sls", "outcome", "test", "stamp", "duration_ms", "jid"}
	}
	return list(w, c.format, c.paging, page, page, "How states stood when they were last run or tested"+span(c.Since, c.Until)+":",
		"There are no such states.", header, func(s *gaea.LatestState) []string {
			if c.script() {
				return []string{s.Minion, s.Function, s.ID, s.Name, s.SLS, string(s.Outcome), strconv.FormatBool(s.Test), c.time(s.Stamp), c.took(s.Duration), s.JID}
			}
			outcome := words(s.Outcome)
			if s.Test {
				outcome += " (test)"
			}
			return []string{c.text(s.Minion), c.stateName(s.Function, s.ID, s.Name, s.Key), c.text(s.SLS), outcome, clock(s.Stamp), c.took(s.Duration), s.JID}
		})
}

type changesCommand struct {
	remote
	format
	State  string `arg:"" optional:"" name:"state" help:"What changed: a state's name or id, for example /etc/motd, or FUNCTION and one of them."`
	Minion string `short:"m" help:"Only on this minion." placeholder:"ID"`
	SLS    string `name:"sls" help:"Only states that this SLS file declares." placeholder:"SLS"`
	Since  moment `help:"From this time on: ${moments}; all for no bound. ${default} when absent." default:"30d" placeholder:"TIME"`
	Until  moment `help:"And before." placeholder:"TIME"`
	Diff   bool   `help:"Also what it changed: the diff where Salt gave one. Only with the output table."`
	paging
}

// Help is printed above the list of arguments.
func (*changesCommand) Help() string {
	return `Every change that a state run made is listed, whoever started the run. What was changed by hand is none: the next run that puts it
right is.

Times are in the time zone of this machine, which the first line names; for scripts (-o json, csv, tsv) they are in UTC.

Examples:
  jobd changes /etc/motd
  jobd changes /etc/motd --minion web1 --diff
  jobd changes 'pkg.installed nginx' --since 90d
  jobd changes --minion web1 --since monday`
}

// Run shows what changed something.
func (c *changesCommand) Run(w *world) error {
	if c.State == "" && c.SLS == "" && c.Minion == "" {
		return usageError("say what changed: a state (jobd changes /etc/motd), --sls or --minion")
	}
	if c.Diff && c.Output != "table" {
		return usageError("--diff goes with the output table; for scripts, jobd returns a job's whole return at /v1/jobs/JID/returns/MINION")
	}
	f := gaea.StateFilter{Minion: c.Minion, SLS: c.SLS, Since: c.Since.Time, Until: c.Until.Time}
	stateNamed(&f, c.State)
	page, err := gather(w, c.remote, c.paging, func(client *jobdclient.Client, p gaea.PageRequest) (gaea.Page[gaea.StateChange], error) {
		return client.Changes(w.ctx, f, p)
	})
	if err != nil {
		return err
	}
	what := "Changes" + span(c.Since, c.Until) + ", newest first:"
	if c.Diff && len(page.Items) > 0 {
		client, err := c.dial(w)
		if err != nil {
			return err
		}
		defer client.Close()
		w.printf("%s\n", what)
		for i := range page.Items {
			if err := c.diff(w, client, &page.Items[i]); err != nil {
				return err
			}
		}
		c.more(w, c.format, page.Next)
		return nil
	}
	header := []string{"when", "minion", "state", "sls", "user", "run", "jid"}
	if c.script() {
		header = []string{"stamp", "minion", "function", "id", "name", "sls", "user", "run", "jid"}
	}
	return list(w, c.format, c.paging, page, page, what, "No state run changed that"+span(c.Since, c.Until)+".", header, func(s *gaea.StateChange) []string {
		if c.script() {
			return []string{c.time(s.Stamp), s.Minion, s.Function, s.ID, s.Name, s.SLS, s.User, s.RunID, s.JID}
		}
		return []string{clock(s.Stamp), c.text(s.Minion), c.stateName(s.Function, s.ID, s.Name, s.Key), c.text(s.SLS), c.text(s.User), s.RunID, s.JID}
	})
}

// diff prints one change whole.
func (c *changesCommand) diff(w *world, client *jobdclient.Client, s *gaea.StateChange) error {
	by := ""
	if s.User != "" {
		by = " by " + harmless(s.User)
	}
	w.printf("\n%s  %s  %s%s, job %s\n", clock(s.Stamp), c.text(s.Minion), c.stateName(s.Function, s.ID, s.Name, s.Key), by, s.JID)
	r, err := client.Return(w.ctx, s.JID, s.Minion)
	if gaea.CodeOf(err) == gaea.CodeNotFound { // retention took it meanwhile
		return nil
	}
	if err != nil {
		return err
	}
	r.States = slices.DeleteFunc(r.States, func(one gaea.StateResult) bool { return one.Key != s.Key || one.SLS != s.SLS })
	w.printf("%s\n", indent(harmlessLines(readableStates(r.States)), "    "))
	return nil
}

type failuresCommand struct {
	remote
	format
	SLS    string `arg:"" name:"sls" help:"The SLS file, for example nginx or web.tls."`
	Since  moment `help:"From this time on: ${moments}; all for no bound. ${default} when absent." default:"7d" placeholder:"TIME"`
	Until  moment `help:"And before." placeholder:"TIME"`
	Minion string `short:"m" help:"Only this minion." placeholder:"ID"`
	State  string `help:"Only where this state of it failed: its name or id." placeholder:"STATE"`
	paging
}

// Help is printed above the list of arguments.
func (*failuresCommand) Help() string {
	return `One line for each minion on which a state of the SLS file failed, in whatever run: how many runs of that time failed so, when the last
did, and which states of the file. A run that named the file and did not get as far as states (a missing file, broken Jinja)
counts as well, and says so; a highstate that could not be rendered names no file, and is found with
jobd jobs --function state.highstate --outcome could_not_run.

Times are in the time zone of this machine, which the first line names; for scripts (-o json, csv, tsv) they are in UTC.

Examples:
  jobd failures nginx --since monday
  jobd failures nginx --since monday --all -o csv`
}

// Run shows where an SLS file failed.
func (c *failuresCommand) Run(w *world) error {
	f := gaea.StateFilter{Minion: c.Minion, SLS: c.SLS, Since: c.Since.Time, Until: c.Until.Time}
	stateNamed(&f, c.State)
	page, err := gather(w, c.remote, c.paging, func(client *jobdclient.Client, p gaea.PageRequest) (gaea.Page[gaea.FailedMinion], error) {
		return client.FailedMinions(w.ctx, f, p)
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(page.Items, func(a, b gaea.FailedMinion) int { return strings.Compare(a.Minion, b.Minion) })
	name, when := harmless(c.SLS), span(c.Since, c.Until)
	header := []string{"minion", "failed", "last", "outcome", "states", "jid", "why"}
	if c.script() {
		header = []string{"minion", "runs", "stamp", "outcome", "states", "jid", "message"}
	}
	return list(w, c.format, c.paging, page, page, fmt.Sprintf("%s failed%s on:", name, when), fmt.Sprintf("%s failed on no minion%s.", name, when), header,
		func(m *gaea.FailedMinion) []string {
			runs := strconv.Itoa(m.Runs)
			if !c.script() {
				if runs += " times"; m.Runs == 1 {
					runs = "once"
				}
			}
			return []string{c.text(m.Minion), runs, c.time(m.Stamp), word(c.format, m.Outcome), c.text(strings.Join(m.States, ", ")), m.JID, c.text(m.Message)}
		})
}
