package command

import (
	"fmt"
	"strconv"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

type historyCommand struct {
	remote
	format
	Minion   string       `arg:"" name:"minion" help:"The minion's id."`
	Since    moment       `help:"From this time on: ${moments}; all for no bound. ${default} when absent." default:"7d" placeholder:"TIME"`
	Until    moment       `help:"And before." placeholder:"TIME"`
	Function string       `short:"f" help:"Only this function; a * at the end takes all that begin so." placeholder:"FUN"`
	Outcome  gaea.Outcome `help:"Only what ended so, for example failed." placeholder:"OUTCOME"`
	paging
}

// Help is printed above the list of arguments.
func (*historyCommand) Help() string {
	return `Each line is one job on the minion: when it returned, what was run, how it ended, how many states of a state run are not in
sync, how long its states took together, and who published it. A job to which the minion has not returned is pending, or as
a run of Gaea's settled it.

Times are in the time zone of this machine, which the first line names; for scripts (-o json, csv, tsv) they are in UTC.

Examples:
  jobd history web1
  jobd history web1 --since monday --outcome failed
  jobd history web1 --function 'state.*' --since 30d --all -o csv`
}

// Run shows what ran on a minion.
func (c *historyCommand) Run(w *world) error {
	f := gaea.HistoryFilter{Minion: c.Minion, Function: c.Function, Outcome: c.Outcome, Since: c.Since.Time, Until: c.Until.Time}
	page, err := gather(w, c.remote, c.paging, func(client *jobdclient.Client, p gaea.PageRequest) (gaea.Page[gaea.HistoryItem], error) {
		return client.History(w.ctx, f, p)
	})
	if err != nil {
		return err
	}
	name, when := harmless(c.Minion), span(c.Since, c.Until)
	header := []string{"when", "what", "outcome", "states", "took", "user", "jid", "why"}
	if c.script() {
		header = []string{"stamp", "function", "args", "test", "outcome", "states", "unclean", "duration_ms", "user", "run", "started", "jid", "message"}
	}
	return list(w, c.format, c.paging, page, page, fmt.Sprintf("On %s%s, newest first:", name, when),
		fmt.Sprintf("Nothing ran on %s%s. Is the name right? jobd jobs --minion takes the same one.", name, when), header, c.row)
}

func (c *historyCommand) row(i *gaea.HistoryItem) []string {
	if c.script() {
		states, unclean := "", ""
		if i.States > 0 {
			states, unclean = strconv.Itoa(i.States), strconv.Itoa(i.Unclean)
		}
		return []string{
			c.time(i.Stamp), i.Function, string(i.Args), strconv.FormatBool(i.Test), string(i.Outcome), states, unclean, c.took(i.Duration), i.User, i.RunID,
			c.time(i.Started), i.JID, i.Message,
		}
	}
	states := "-"
	if i.States > 0 {
		states = strconv.Itoa(i.States)
		if i.Unclean > 0 {
			states = fmt.Sprintf("%d of %d", i.Unclean, i.States)
		}
	}
	return []string{
		clock(i.Stamp), c.call(i.Function, i.Args, i.Test), words(i.Outcome), states, c.took(i.Duration), c.text(i.User), i.JID, c.text(i.Message),
	}
}
