package ingest

import (
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest/spill"
)

// Rewrite reads what was written down for the spill, and writes it down again.
func Rewrite(body []byte) (again []byte, records int, err error) {
	r, err := recordsOf([]spill.Row{{Body: body}})
	if err != nil {
		return nil, 0, err
	}
	row, _, err := rowOf(r, false)
	return row.Body, r.size(), err
}

// WriteDown writes records down for the spill.
func WriteDown(jobs []gaea.Job, returns []gaea.Return, events []gaea.Event) ([]byte, error) {
	row, _, err := rowOf(&records{jobs: jobs, returns: returns, events: events}, false)
	return row.Body, err
}
