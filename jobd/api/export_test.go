package api

import (
	"net/http"
	"time"
)

// SetBodyTimeout sets how long a body may take to arrive. Call it before the first request.
func (a *API) SetBodyTimeout(d time.Duration) { a.patient = d }

// SetMaxStreams sets how many streams and long polls may go on at once. Call it before the first request.
func (a *API) SetMaxStreams(n int) { a.streams = make(chan struct{}, n) }

// RoomAfter is how many bytes of room a stream keeps after an event.
func RoomAfter(w http.ResponseWriter, data any) (int, error) {
	e := newEventWriter(w)
	err := e.send("run", "1", data)
	return e.buf.Cap(), err
}
