package command

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

type jobsCommand struct {
	remote
	format
	Parent   string       `help:"Only jobs that belong to this one, for example to an orchestration." placeholder:"JID"`
	Minion   string       `short:"m" help:"Only jobs that this minion was told, or returned for." placeholder:"ID"`
	Function string       `short:"f" help:"Only jobs of this function; a * at the end takes all that begin so." placeholder:"FUN"`
	User     string       `help:"Only what this user published." placeholder:"NAME"`
	RunID    string       `name:"run" help:"Only jobs of this Gaea run." placeholder:"RUN"`
	Outcome  gaea.Outcome `help:"Only jobs that ended so on some minion." placeholder:"OUTCOME"`
	Running  bool         `help:"Only jobs with an expected minion that has not returned; of the last 24h where no --since is given."`
	Since    *moment      `help:"Only jobs that were published at or after: ${moments}." placeholder:"TIME"`
	Until    moment       `help:"And before." placeholder:"TIME"`
	paging
}

// Help is printed above the list of arguments.
func (*jobsCommand) Help() string {
	return `Every job is listed, whoever started it: Gaea, the salt command, salt-api, an orchestration, salt-call, a minion's schedule.

What an orchestration starts belongs to it; it names them when it ends. Salt 3008 runs a batch (salt -b) under one job
id, and so it is one job. Before, each slice is a job of its own, and nothing that Salt tells says that they belong
together.

A job runs as long as a minion that the master expects has not returned. One that is down looks the same: jobd job JID
says which minions it waits for. How a run of Gaea's settled its silent minions is known, and it runs no more when it ended.

Examples:
  jobd jobs --minion web1 --since 2h
  jobd jobs --running
  jobd jobs --function cmd.run --since monday     # who ran it: see the column USER
  jobd jobs --function 'runner.state.*'
  jobd jobs --parent 20260102030405000001`
}

// Run lists jobs.
func (c *jobsCommand) Run(w *world) error {
	f := gaea.JobFilter{Parent: c.Parent, Minion: c.Minion, Function: c.Function, User: c.User, RunID: c.RunID, Outcome: c.Outcome, Running: c.Running, Until: c.Until.Time}
	switch {
	case c.Since != nil:
		f.Since = c.Since.Time
	case c.Running:
		f.Since = time.Now().Add(-24 * time.Hour)
	}
	page, err := gather(w, c.remote, c.paging, func(client *jobdclient.Client, p gaea.PageRequest) (gaea.Page[gaea.Job], error) {
		return client.Jobs(w.ctx, f, p)
	})
	if err != nil {
		return err
	}
	if len(page.Items) == 0 && c.Output == "table" {
		w.note("There are no such jobs.\n")
		return nil
	}
	if err := c.rows(w.Stdout, page, jobHeader, jobRows(c.format, page.Items)); err != nil {
		return err
	}
	c.more(w, c.format, page.Next)
	return nil
}

var jobHeader = []string{"jid", "started", "origin", "function", "target", "minions", "user", "run", "parent"}

func jobRows(f format, jobs []gaea.Job) [][]string {
	rows := make([][]string, len(jobs))
	for i := range jobs {
		j := &jobs[i]
		rows[i] = []string{
			j.JID, f.time(j.Started), string(j.Origin), f.text(j.Function), f.text(f.target(jobTarget(j))), jobCounts(f, j), f.text(j.User), j.RunID, j.Parent,
		}
	}
	return rows
}

// jobTarget is what was asked for: of a batch of Salt's own not just those that were told.
func jobTarget(j *gaea.Job) gaea.Target {
	if j.Batch != nil && j.Batch.Target.Type != "" {
		return j.Batch.Target
	}
	return j.Target
}

// jobCounts is how a job stands, and for people that its batch was halted.
func jobCounts(f format, j *gaea.Job) string {
	text := f.counts(j.Counts)
	if j.Batch != nil && j.Batch.Status == gaea.JobBatchHalted && !f.script() {
		text += " (halted)"
	}
	return text
}

type jobCommand struct {
	remote
	format
	JID string `arg:"" name:"jid" help:"Salt's job id, as jobd jobs and Salt print it."`
}

// Help is printed above the list of arguments.
func (*jobCommand) Help() string {
	return `Tells how the job stands for each minion, how it came to be, and the jobs that belong to it with theirs.

Examples:
  jobd job 20260102030405000001
  jobd job 20260102030405000001 -o json`
}

// Run shows one job.
func (c *jobCommand) Run(w *world) error {
	client, err := c.dial(w)
	if err != nil {
		return err
	}
	defer client.Close()
	job, err := client.Job(w.ctx, c.JID)
	if err != nil {
		return err
	}
	if c.Output == "table" {
		jobHead(w, job)
	}
	var rows [][]string
	for _, minion := range slices.Sorted(maps.Keys(job.Returns)) {
		r := job.Returns[minion]
		rows = append(rows, []string{c.text(minion), word(c.format, r.Outcome), c.time(r.Stamp), c.text(r.Message)})
	}
	if err := c.rows(w.Stdout, job, []string{"minion", "outcome", "returned", "why"}, rows); err != nil || c.Output != "table" || len(job.Children) == 0 {
		return err
	}
	w.printf("\nWhat belongs to it:\n")
	if err := c.rows(w.Stdout, nil, jobHeader, jobRows(c.format, job.Children)); err != nil {
		return err
	}
	if len(job.Children) >= gaea.MaxChildren {
		w.printf("\nThere may be more: jobd jobs --parent %s -n 1000\n", job.JID)
	}
	return nil
}

// jobHead says in a few lines what a job is and how it came to be.
func jobHead(w *world, j *gaea.JobDetail) {
	w.printf("%s  %s on %s: %s\n", j.JID, firstLine(j.Function), firstLine(shortTarget(jobTarget(&j.Job))), counts(j.Counts))
	w.printf("%s\n", firstLine(cameToBe(&j.Job)))
	if j.Batch != nil {
		w.printf("%s\n", firstLine(batchStands(j.Batch)))
	}
	if len(j.Missing) > 0 {
		w.printf("not known to the master: %s\n", firstLine(strings.Join(j.Missing, ", ")))
	}
	w.printf("\n")
}

// cameToBe says how a job came to be.
func cameToBe(j *gaea.Job) string {
	var how string
	switch j.Origin {
	case gaea.OriginPublish:
		how = "published"
	case gaea.OriginBatch:
		how = "a batch of Salt's own, begun"
	case gaea.OriginRunner:
		how = "a runner on the master, begun"
	case gaea.OriginOrchestration:
		how = "an orchestration, begun"
	case gaea.OriginSaltCall:
		how = "by salt-call on the minion,"
	case gaea.OriginSchedule:
		how = "by the minion's schedule,"
		if j.Schedule != "" {
			how = fmt.Sprintf("by %s of the minion's schedule,", j.Schedule)
		}
	case gaea.OriginSaltSSH:
		how = "by salt-ssh,"
	default:
		how = "seen"
	}
	if j.User != "" {
		how += " by " + j.User
	}
	how += " at " + clock(j.Started)
	if j.RunID != "" {
		how += ", for " + j.RunID
	}
	if j.Parent != "" {
		how += ", belongs to " + j.Parent
	}
	return how
}

// batchStands says how one of Salt's own batches stands.
func batchStands(b *gaea.JobBatch) string {
	text := fmt.Sprintf("batch of %d minions", b.Minions)
	if b.Minions == 1 {
		text = "batch of 1 minion"
	}
	if b.Size > 0 {
		text += fmt.Sprintf(", %d at a time", b.Size)
	}
	text += fmt.Sprintf(": %d done", b.Done)
	for _, part := range []struct {
		n    int
		what string
	}{{b.Failed, "given up"}, {b.Running, "running"}, {b.Waiting, "not told"}} {
		if part.n > 0 {
			text += fmt.Sprintf(", %d %s", part.n, part.what)
		}
	}
	switch {
	case b.Status == gaea.JobBatchHalted && b.Reason != "":
		return text + ", halted (" + b.Reason + ")"
	case b.Status.Ended():
		return text + ", " + string(b.Status)
	default:
		return text + " at " + clock(b.Stamp)
	}
}
