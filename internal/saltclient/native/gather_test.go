package native_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/native"
)

// drip is a socket on which a byte comes each so often.
type drip struct {
	every time.Duration
	next  time.Time
	reads int
}

func (d *drip) Read(p []byte) (int, error) {
	d.reads++
	if left := time.Until(d.next); left > 0 {
		<-time.NewTimer(left).C
	}
	n := 0
	for ; n < len(p) && !d.next.After(time.Now()); n++ {
		d.next = d.next.Add(d.every)
	}
	return n, nil
}

func TestABusyBusIsReadInFewerReadsAndAQuietOneAtOnce(t *testing.T) {
	for name, row := range map[string]struct {
		every   time.Duration
		buffer  int
		ended   bool
		longest time.Duration // what comes may wait
		most    int           // reads for a hundred bytes
	}{
		"a quiet bus":                 {every: 20 * time.Millisecond, buffer: 64, longest: 0, most: 100},
		"a busy bus":                  {every: 250 * time.Microsecond, buffer: 64, longest: 4 * time.Millisecond, most: 15},
		"more than the buffer's size": {every: time.Microsecond, buffer: 10, longest: 4 * time.Millisecond, most: 12},
		"a reader that is to end":     {every: 250 * time.Microsecond, buffer: 64, ended: true, longest: 0, most: 100},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				if row.ended {
					cancel()
				}
				defer cancel()
				d := &drip{every: row.every, next: time.Now()}
				r := native.Gathered(ctx, d)
				for got := 0; got < 100; {
					oldest := d.next
					n, err := r.Read(make([]byte, row.buffer))
					if err != nil {
						t.Fatal(err)
					}
					if waited := time.Since(oldest); waited > row.longest {
						t.Fatalf("a byte waited %s", waited)
					}
					got += n
				}
				if d.reads > row.most {
					t.Errorf("%d reads", d.reads)
				}
			})
		})
	}
}
