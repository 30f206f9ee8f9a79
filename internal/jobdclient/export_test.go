package jobdclient

import "io"

// ReadEvents reads server-sent events as FollowJob and FollowRun do.
func ReadEvents(r io.Reader, f func(name, id, data string)) error {
	return readEvents(r, func() {}, func(ev *sseEvent) error {
		f(ev.name, ev.id, ev.data.String())
		return nil
	})
}

// SetMaxAnswer bounds an answer's body in bytes.
func (c *Client) SetMaxAnswer(n int64) { c.maxAnswer = n }
