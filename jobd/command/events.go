package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

type eventsCommand struct {
	remote
	format
	Tag     string `short:"t" help:"Only this tag; each * in it stands for any text." placeholder:"GLOB"`
	Minion  string `short:"m" help:"Only of this minion." placeholder:"ID"`
	Master  string `help:"Only of this master, by its name in the archive." placeholder:"NAME"`
	Since   moment `help:"From this time on: ${moments}; all for no bound. ${default} when absent." default:"1d" placeholder:"TIME"`
	Until   moment `help:"And before." placeholder:"TIME"`
	Suspect bool   `help:"Only those that are not what their tags say."`
	paging
}

// Help is printed above the list of arguments.
func (*eventsCommand) Help() string {
	return `Each line is one event that is neither a job nor a return: a beacon, a minion that started, presence, an event that somebody
fired. Those that are not what their tags say, for example a return in the name of another minion, say why.

A table has the beginning of the data; -o json has all of it, and so have -o csv and -o tsv.

Examples:
  jobd events --tag 'salt/beacon/*/inotify/*' --since 1h
  jobd events --minion web1 --since monday
  jobd events --suspect --since all
  jobd events --tag 'deploy/*' --since 7d --all -o csv`
}

// Run lists events.
func (c *eventsCommand) Run(w *world) error {
	f := gaea.EventFilter{Master: c.Master, Tag: c.Tag, Minion: c.Minion, Suspect: c.Suspect, Since: c.Since.Time, Until: c.Until.Time}
	page, err := gather(w, c.remote, c.paging, func(client *jobdclient.Client, p gaea.PageRequest) (gaea.Page[gaea.Event], error) {
		return client.Events(w.ctx, f, p)
	})
	if err != nil {
		return err
	}
	when := span(c.Since, c.Until)
	header := []string{"when", "tag", "data", "suspect"}
	if c.script() {
		header = []string{"stamp", "master", "tag", "data", "suspect", "whole_size", "whole_sha256"}
	}
	return list(w, c.format, c.paging, page, page, fmt.Sprintf("Events%s, newest first:", when),
		fmt.Sprintf("There are no such events%s. Jobs and returns are none: jobd jobs lists those.", when), header, c.row)
}

func (c *eventsCommand) row(ev *gaea.Event) []string {
	if !c.script() {
		return []string{clock(ev.Stamp), firstLine(ev.Tag), c.data(ev), firstLine(ev.Suspect)}
	}
	size, digest := "", ""
	if ev.Truncated != nil {
		size, digest = strconv.FormatInt(ev.Truncated.Size, 10), ev.Truncated.SHA256
	}
	return []string{c.time(ev.Stamp), ev.Master, ev.Tag, c.data(ev), ev.Suspect, size, digest}
}

// data is an event's data on a line; for people the beginning of it.
func (c *eventsCommand) data(ev *gaea.Event) string {
	var line bytes.Buffer
	if json.Compact(&line, ev.Data) != nil {
		return string(ev.Data)
	}
	const letters = 100
	text := []rune(line.String())
	if c.script() || len(text) <= letters {
		return string(text)
	}
	return string(text[:letters-1]) + "…"
}
