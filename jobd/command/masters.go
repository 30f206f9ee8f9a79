package command

import (
	"strconv"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

type mastersCommand struct {
	remote
	format
}

// Help is printed above the list of arguments.
func (*mastersCommand) Help() string {
	return `Several jobds may use one PostgreSQL: one beside each master, or two beside one for availability. All that serve a master
archive its bus and answer requests; one of them leads it, and carries out its runs, checks and retention. A jobd says every
3 s that it lives; where the one that leads has not for 10 s, another one of that master leads it. Nothing is to be done then.

What the role says: leads; stands by; gone (no sign of life for 10 s; the
heartbeat says since when, and after a day it is not listed any more); led last (gone, and nobody has taken over: start a
jobd beside that master). A master without a jobd is one that the archive knows from before.

Examples:
  jobd masters
  jobd masters -o json | jq '.masters[] | select(.led | not)'
  jobd run test.ping -t '*' --master eu1        # whichever jobd is asked`
}

// Run shows who serves which master.
func (c *mastersCommand) Run(w *world) error {
	client, err := c.dial(w)
	if err != nil {
		return err
	}
	defer client.Close()
	list, err := client.Masters(w.ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	var rows [][]string
	for i := range list {
		m := &list[i]
		if len(m.Jobds) == 0 {
			rows = append(rows, []string{m.Master, c.none(), c.none(), c.none(), c.none(), c.none(), strconv.Itoa(m.Runs), c.time(m.LastEvent)})
		}
		for _, j := range m.Jobds {
			runs := c.none()
			if j.Leads {
				runs = strconv.Itoa(m.Runs)
			}
			rows = append(rows, []string{m.Master, j.Host, j.Address, word(c.format, role(&j)), c.age(now.Sub(j.Seen)), c.text(j.Version), runs, c.time(m.LastEvent)})
		}
	}
	value := struct {
		Masters []gaea.MasterStatus `json:"masters"`
	}{list}
	last := "last event"
	if c.script() {
		last = "last_event"
	}
	return c.rows(w.Stdout, value, []string{"master", "host", "address", "role", "heartbeat", "version", "runs", last}, rows)
}

// role is what a jobd is for its master.
func role(j *gaea.Jobd) string {
	switch {
	case j.Leads && j.Alive:
		return "leads"
	case j.Leads:
		return "led_last"
	case j.Alive:
		return "stands_by"
	default:
		return "gone"
	}
}

// none is a cell with nothing in it.
func (f format) none() string {
	if f.script() {
		return ""
	}
	return "-"
}

// age is how long ago something was: in seconds for scripts.
func (f format) age(d time.Duration) string {
	d = max(d, 0)
	if f.script() {
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64)
	}
	return d.Round(time.Second).String() + " ago"
}
