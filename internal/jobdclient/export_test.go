package jobdclient

// SetMaxAnswer bounds an answer's body in bytes.
func (c *Client) SetMaxAnswer(n int64) { c.maxAnswer = n }
