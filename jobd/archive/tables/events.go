package tables

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// eventDigestSize is enough to tell events apart that have the same time and tag.
const eventDigestSize = 16

// EventDigest tells events apart that have the same time and tag.
func EventDigest(ev *gaea.Event) []byte {
	digest := sha256.Sum256(ev.Data)
	return digest[:eventDigestSize]
}

// EventMinion is the minion that sent an event, or that its tag names: salt/minion/ID/start, salt/beacon/ID/NAME/….
func EventMinion(ev *gaea.Event) string {
	var data struct {
		ID json.RawMessage `json:"id"`
	}
	var id string
	if json.Unmarshal(ev.Data, &data) == nil && json.Unmarshal(data.ID, &id) == nil && id != "" {
		return id
	}
	for _, prefix := range []string{"salt/minion/", "salt/beacon/"} {
		if rest, ok := strings.CutPrefix(ev.Tag, prefix); ok {
			id, _, _ := strings.Cut(rest, "/")
			return id
		}
	}
	return ""
}

// pageBytes is how large the data of a page of events may grow before the page ends early. One event is always in it.
const pageBytes = 16 << 20

// Events implements [archive.Store].
func (s *Store) Events(ctx context.Context, f gaea.EventFilter, p gaea.PageRequest) (gaea.Page[gaea.Event], error) {
	after, limit, err := archive.ParsePage(p, "events", 2, 0)
	if err != nil {
		return gaea.Page[gaea.Event]{}, err
	}
	c := conditions{dialect: s.dialect}
	c.ofMaster("e.master_id", f.Master)
	c.globbed("e.tag", f.Tag)
	c.between("e.stamp", f.Since, f.Until)
	if f.Suspect {
		c.add("e.suspect IS NOT NULL")
	}
	c.after(after, "e.stamp", "e.id")
	page := pager[gaea.Event]{list: "events", limit: limit}
	size := 0
	err = s.db.Read(ctx, func(q Query) error {
		if f.Minion != "" {
			ids, err := minionIDs(q, f.Master, f.Minion)
			if err != nil {
				return err
			}
			c.oneOf("e.minion_id", ids)
		}
		return q.Each(eventsQuery(&c), func(row Scanner) error {
			var ev gaea.Event
			var stamp, id int64
			var truncated RawText
			err := row.Scan(&ev.Master, &ev.Tag, &stamp, (*RawText)(&ev.Data), &truncated, &ev.Suspect, &id)
			if err == nil {
				ev.Truncated, err = truncation(truncated)
			}
			ev.Stamp = TimeOf(stamp)
			if size += len(ev.Data); size > pageBytes && len(page.items) > 0 {
				page.more = true
				return err
			}
			page.add(ev, archive.Cursor{Numbers: []int64{stamp, id}})
			return err
		}, append(c.args, limit+1)...)
	})
	return page.done(err)
}

func eventsQuery(c *conditions) string {
	return `SELECT ma.name, e.tag, e.stamp, coalesce(e.data, ''), coalesce(e.truncated, ''), coalesce(e.suspect, ''), e.id
		FROM events e JOIN masters ma ON ma.id = e.master_id` + c.where() + ` ORDER BY e.stamp DESC, e.id DESC LIMIT ?`
}
