package enforce_test

import (
	"context"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/enforce"
)

// alarms calls a service's Look when it is time, as jobd's queue does: for each assignment one call at a time, soon after
// the assignment has changed, and again when the call before it said.
type alarms struct {
	service *enforce.Service
	cancel  context.CancelFunc
	done    sync.WaitGroup

	bells map[string]*bell // by assignment
}

// bell is one assignment's alarm.
type bell struct {
	ref  string
	ring chan struct{}
	stop context.CancelFunc
}

func setAlarms(service *enforce.Service) *alarms {
	ctx, cancel := context.WithCancel(context.Background())
	a := &alarms{service: service, cancel: cancel, bells: map[string]*bell{}}
	a.done.Go(func() {
		tick := time.NewTicker(10 * time.Second)
		defer tick.Stop()
		for {
			a.round(ctx)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return a
}

func (a *alarms) stop() {
	a.cancel()
	a.done.Wait()
}

// round has a bell for each assignment that is checked by interval, and rings those of changed ones.
func (a *alarms) round(ctx context.Context) {
	watched, err := a.service.Watched(ctx)
	if err != nil {
		return
	}
	for name, b := range a.bells {
		if _, ok := watched[name]; !ok {
			b.stop()
			delete(a.bells, name)
		}
	}
	for name, ref := range watched {
		b := a.bells[name]
		if b == nil {
			ctx, stop := context.WithCancel(ctx)
			b = &bell{ring: make(chan struct{}, 1), stop: stop}
			a.bells[name] = b
			a.done.Go(func() { a.follow(ctx, name, b.ring) })
		}
		if b.ref != ref {
			b.ref = ref
			select {
			case b.ring <- struct{}{}:
			default:
			}
		}
	}
}

func (a *alarms) follow(ctx context.Context, name string, ring <-chan struct{}) {
	for {
		again, err := a.service.Look(ctx, name)
		if err != nil {
			again = time.Now().Add(10 * time.Second)
		}
		if again.IsZero() {
			return
		}
		timer := time.NewTimer(time.Until(again))
		select {
		case <-timer.C:
		case <-ring:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}
