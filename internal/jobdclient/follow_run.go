package jobdclient

import (
	"context"
	"encoding/json"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/httpclient"
)

// FollowRun calls f with the run as it stands, and again whenever it has changed, from this goroutine. It returns the run
// when it and the check after it have ended; and where something stops it before, the run as it was last seen with the
// error, which is f's where f has one. A lost connection is made again and brings only what has changed meanwhile; an
// outage of jobd of up to two minutes is waited out. Each run is f's own to keep, but shares its parts with others: it is
// for reading.
func (c *Client) FollowRun(ctx context.Context, id string, f func(*gaea.Run) error) (*gaea.Run, error) {
	escaped, err := segment("id", id)
	if err != nil {
		return nil, err
	}
	k := &runStream{f: f}
	k.stream = stream{client: c, path: "/v1/runs/" + escaped + "/events", what: "a run's changes", deliver: k.deliver}
	if err := k.stream.follow(ctx); err != nil {
		return k.run, err
	}
	if k.run == nil {
		return nil, gaea.Errorf(gaea.CodeUnavailable, "jobd at %s ended the stream of a run before it said anything; does its version go with this one?", c.endpoint)
	}
	return k.run, nil
}

// runStream is what is kept of a run's stream from one connection to the next.
type runStream struct {
	stream stream
	run    *gaea.Run // as it stood last; nil before the first event
	f      func(*gaea.Run) error
}

func (k *runStream) deliver(ev *httpclient.Event) (done bool, err error) {
	var next *gaea.Run
	switch {
	case ev.Name == "run":
		next = &gaea.Run{}
		err = json.Unmarshal(ev.Data.Bytes(), next)
	case ev.Name == "change" && k.run != nil:
		var change gaea.RunChange
		if err = json.Unmarshal(ev.Data.Bytes(), &change); err != nil {
			break
		}
		if next, err = change.Apply(k.run); err != nil { // begin again, with the whole run
			k.stream.last = ""
			return false, gaea.Wrap(err, gaea.CodeUnavailable, "jobd's stream of a run's changes has a gap")
		}
	default:
		return false, nil
	}
	if err != nil {
		return true, gaea.Wrap(err, gaea.CodeUnavailable, "jobd sent a run that cannot be read; does its version go with this one?")
	}
	k.run, k.stream.last = next, ev.ID
	if err := k.f(next); err != nil {
		return true, err
	}
	return false, nil
}
