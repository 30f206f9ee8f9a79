package api

import "time"

// SetBodyTimeout sets how long a body may take to arrive. Call it before the first request.
func (a *API) SetBodyTimeout(d time.Duration) { a.patient = d }

// SetMaxStreams sets how many streams and long polls may go on at once. Call it before the first request.
func (a *API) SetMaxStreams(n int) { a.streams = make(chan struct{}, n) }
