package tables

import (
	"math"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// part is a time of which returns are asked, with the numbers of the jobs that they may be of.
type part struct {
	all          bool  // whatever the time, of all jobs
	since, until int64 // from, and before
	first, end   int64 // from, and before
	other        int64 // and before this one: 0 for none
}

// parts divides a time, newest first, where returns are kept by the day of their job: into a day on which returns came, two such
// days, four, and so on. A page that has enough after one part needs none of the others. Where returns are kept in one place, that
// is the only part.
//
// A return comes on the day of its job, mostly. When else is in return_days, which is written with it: a part misses none, and asks
// for what is not there at worst.
func parts(q Query, since, until time.Time, after *archive.Cursor) ([]part, error) {
	if q.Dialect().DayShift == 0 {
		return []part{{all: true}}, nil
	}
	c := conditions{dialect: q.Dialect()}
	if !since.IsZero() {
		c.add("stamped >= ?", DayOf(Micros(since)))
	}
	if !until.IsZero() {
		c.add("stamped <= ?", DayOf(Micros(until)))
	}
	if after != nil {
		c.add("stamped <= ?", DayOf(after.Numbers[0]))
	}
	var list []part
	last, days, wanted := int64(-1), 0, 1
	err := q.Each(`SELECT stamped, day FROM return_days`+c.where()+` ORDER BY stamped DESC, day`, func(row Scanner) error {
		var stamped, day int64
		if err := row.Scan(&stamped, &day); err != nil {
			return err
		}
		if stamped != last {
			if days++; len(list) == 0 || days > wanted {
				wanted *= 2
				days = 1
				list = append(list, part{until: (stamped + 1) * microsADay, first: math.MaxInt64})
			}
			last = stamped
		}
		list[len(list)-1].stretch(stamped, day, q.Dialect().DayShift)
		return nil
	}, c.args...)
	return list, err
}

// span is a time as one part, for what is gathered from all of it.
func span(q Query, since, until time.Time) (part, error) {
	list, err := parts(q, since, until, nil)
	if err != nil || len(list) == 0 {
		return part{}, err // of nothing
	}
	whole := list[0]
	for _, p := range list[1:] {
		whole.since, whole.first, whole.end, whole.other = p.since, min(whole.first, p.first), max(whole.end, p.end), max(whole.other, p.other)
	}
	return whole, nil
}

// stretch has a part reach back to a day, and take in the jobs of another. Day 0 is far from all others.
func (p *part) stretch(stamped, day int64, shift int) {
	p.since = stamped * microsADay
	if stamped == 0 {
		p.since = math.MinInt64
	}
	first, end := day<<shift, (day+1)<<shift
	if day == 0 {
		p.other = end
		return
	}
	p.first, p.end = min(p.first, first), max(p.end, end)
}

// in adds that a row is of a part: by the columns with the time of a return, and with its job.
func (c *conditions) in(p part, stamp, job string) {
	if p.all {
		return
	}
	c.add(stamp+" >= ? AND "+stamp+" < ?", p.since, p.until)
	c.add("("+job+" >= ? AND "+job+" < ? OR "+job+" < ?)", p.first, p.end, p.other)
}
