package app

import (
	"context"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/postgres"
)

// masters lists the masters of the archive, and who serves each.
func (a *App) masters(ctx context.Context) ([]gaea.MasterStatus, error) {
	list, err := a.store.Masters(ctx)
	if err != nil {
		return nil, err
	}
	served := map[string]gaea.MasterStatus{a.master: {
		Master: a.master, Led: true, LedSince: a.since,
		Jobds: []gaea.Jobd{{
			ID: "1", Host: a.host, Address: a.Addr(), PID: os.Getpid(), Version: a.o.Version, Started: a.since, Seen: time.Now(), Alive: true, Leads: true,
		}},
	}}
	if many, ok := a.store.(*postgres.Store); ok {
		if served, err = many.Jobds(ctx, postgres.DefaultLease); err != nil {
			return nil, err
		}
	}
	for i := range list {
		m := &list[i]
		if s, ok := served[m.Master]; ok {
			m.Led, m.LedSince, m.Fence, m.Jobds = s.Led, s.LedSince, s.Fence, s.Jobds
			delete(served, m.Master)
		}
	}
	for _, m := range served {
		list = append(list, m)
	}
	slices.SortFunc(list, func(x, y gaea.MasterStatus) int { return strings.Compare(x.Master, y.Master) })
	return list, nil
}

// place is what no other process that lives at the same time has and the next one after a restart has again: this boot of the
// machine, the network that this process sees, and the address where it listens. Empty where that cannot be known.
func place(address string) string {
	if runtime.GOOS != "linux" {
		return ""
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	network, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(boot)) + " " + network + " " + address
}
