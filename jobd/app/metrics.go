package app

import (
	"context"
	"math"
	"path/filepath"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/native"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

var (
	archiveRows = prometheus.NewDesc("gaea_archive_rows", "What the archive holds, by kind.", []string{"kind"}, nil)
	archiveUp   = prometheus.NewDesc("gaea_archive_up", "1 where the archive answers; its other metrics are left out where it does not.", nil, nil)
	archiveSize = prometheus.NewDesc("gaea_archive_bytes", "The database on disk.", nil, nil)
	busEvents   = prometheus.NewDesc("gaea_bus_events_total", "Events read from the master's event socket.", nil, nil)
	busBad      = prometheus.NewDesc("gaea_bus_unreadable_total", "Messages of the event socket that were skipped because they could not be read.", nil, nil)
)

// archiveCollector counts the archive at each scrape.
type archiveCollector struct{ store archive.Store }

func (archiveCollector) Describe(c chan<- *prometheus.Desc) {
	c <- archiveUp
	c <- archiveRows
	c <- archiveSize
}

func (a archiveCollector) Collect(c chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, err := a.store.Stats(ctx)
	if err != nil {
		// An invalid metric would take all others with it, just when they are looked at.
		c <- prometheus.MustNewConstMetric(archiveUp, prometheus.GaugeValue, 0)
		return
	}
	c <- prometheus.MustNewConstMetric(archiveUp, prometheus.GaugeValue, 1)
	for kind, n := range map[string]int64{"jobs": s.Jobs, "returns": s.Returns, "events": s.Events, "contents": s.Contents} {
		c <- prometheus.MustNewConstMetric(archiveRows, prometheus.GaugeValue, float64(n), kind)
	}
	c <- prometheus.MustNewConstMetric(archiveSize, prometheus.GaugeValue, float64(s.Bytes))
}

// busCollector tells what the bus reader has counted.
type busCollector struct{ salt *native.Client }

func (busCollector) Describe(c chan<- *prometheus.Desc) { c <- busEvents; c <- busBad }

func (b busCollector) Collect(c chan<- prometheus.Metric) {
	s := b.salt.Stats()
	c <- prometheus.MustNewConstMetric(busEvents, prometheus.CounterValue, float64(s.Events))
	c <- prometheus.MustNewConstMetric(busBad, prometheus.CounterValue, float64(s.BadEvents+s.BadFrames))
}

// readyTimeout bounds how long a scrape waits for what /readyz says.
const readyTimeout = 5 * time.Second

// registerReady registers a metric of what /readyz says.
func registerReady(reg prometheus.Registerer, problems func(context.Context) []string) {
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "gaea_ready", Help: "1 while jobd can do its work, as /readyz says."}, func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
		defer cancel()
		if len(problems(ctx)) > 0 {
			return 0
		}
		return 1
	}))
}

// registerDisk registers metrics of the disk that an archive in a file lies on.
func registerDisk(reg prometheus.Registerer, path string) {
	disk := func(size func(*syscall.Statfs_t) float64) func() float64 {
		return func() float64 {
			var s syscall.Statfs_t
			if err := syscall.Statfs(filepath.Dir(path), &s); err != nil {
				return math.NaN()
			}
			return size(&s)
		}
	}
	reg.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "gaea_archive_disk_bytes", Help: "The disk that the archive lies on; only where it is a file."},
			disk(func(s *syscall.Statfs_t) float64 { return float64(s.Blocks) * float64(s.Bsize) })),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "gaea_archive_disk_free_bytes", Help: "What of it jobd's user may still write."},
			disk(func(s *syscall.Statfs_t) float64 { return float64(s.Bavail) * float64(s.Bsize) })))
}

// countRuns registers a count of runs that have ended, and returns what is told of each.
func countRuns(reg prometheus.Registerer) func(*gaea.Run) {
	ended := promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: "gaea_runs_ended_total", Help: "Runs that this jobd has brought to an end, by kind and by how they ended.",
	}, []string{"kind", "status"})
	// All values are there from the start: a rate needs the 0 before the first.
	for _, kind := range []gaea.RunKind{gaea.RunJob, gaea.RunCheck, gaea.RunEnforce, gaea.RunForAction} {
		for _, status := range gaea.RunStatuses() {
			if status.Final() {
				ended.WithLabelValues(string(kind), string(status))
			}
		}
	}
	return func(r *gaea.Run) { ended.WithLabelValues(string(r.Kind), string(r.Status)).Inc() }
}
