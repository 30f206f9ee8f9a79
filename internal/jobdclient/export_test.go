package jobdclient

import "io"

// ReadEvents reads server-sent events as FollowJob does.
func ReadEvents(r io.Reader, f func(name, data string)) error {
	return readEvents(r, func() {}, func(ev *sseEvent) error {
		f(ev.name, ev.data.String())
		return nil
	})
}

// SetMaxAnswer bounds an answer's body in bytes.
func (c *Client) SetMaxAnswer(n int64) { c.maxAnswer = n }
