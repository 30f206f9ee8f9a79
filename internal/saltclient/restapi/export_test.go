package restapi

import "time"

// SetPace makes the pauses of the event stream short, and sets how long a stream may say nothing.
func (c *Client) SetPace(pause, opening, idle, trial time.Duration) {
	c.pace = pace{
		firstPause: pause, lastPause: pause, refusedPause: pause, opening: opening, idle: idle, trial: trial,
	}
}
