package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/native"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/schedule"
)

var (
	archiveRows = prometheus.NewDesc("gaea_archive_rows", "What the archive holds, by kind.", []string{"kind"}, nil)
	archiveSize = prometheus.NewDesc("gaea_archive_bytes", "The database on disk.", nil, nil)
	archiveMax  = prometheus.NewDesc("gaea_archive_max_bytes", "How much of the archive may be in use before retention deletes the oldest; 0 for any size.", nil, nil)
	archiveOver = prometheus.NewDesc("gaea_archive_over_size", "1 while the archive is larger than it may be, and nothing is left that retention may delete.", nil, nil)
	archiveGone = prometheus.NewDesc("gaea_archive_deleted_total", "Jobs, returns, events and runs that retention has deleted, by reason.", []string{"reason"}, nil)
	busEvents   = prometheus.NewDesc("gaea_bus_events_total", "Events read from the master's event socket.", nil, nil)
	busBad      = prometheus.NewDesc("gaea_bus_unreadable_total", "Messages of the event socket that were skipped because they could not be read.", nil, nil)
)

// archiveCollector counts the archive at each scrape.
type archiveCollector struct {
	store  archive.Store
	max    int64
	pruned func() schedule.Pruned
}

func (archiveCollector) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{archiveRows, archiveSize, archiveMax, archiveOver, archiveGone} {
		c <- d
	}
}

func (a archiveCollector) Collect(c chan<- prometheus.Metric) {
	p, over := a.pruned(), 0.0
	if p.Over {
		over = 1
	}
	c <- prometheus.MustNewConstMetric(archiveMax, prometheus.GaugeValue, float64(a.max))
	c <- prometheus.MustNewConstMetric(archiveOver, prometheus.GaugeValue, over)
	for reason, n := range map[string]int64{"age": p.ByAge, "size": p.BySize} {
		c <- prometheus.MustNewConstMetric(archiveGone, prometheus.CounterValue, float64(n), reason)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, err := a.store.Stats(ctx)
	if err != nil {
		c <- prometheus.NewInvalidMetric(archiveRows, err)
		return
	}
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
