package app

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/native"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

var (
	archiveRows = prometheus.NewDesc("gaea_archive_rows", "What the archive holds, by kind.", []string{"kind"}, nil)
	archiveSize = prometheus.NewDesc("gaea_archive_bytes", "The database on disk.", nil, nil)
	busEvents   = prometheus.NewDesc("gaea_bus_events_total", "Events read from the master's event socket.", nil, nil)
	busBad      = prometheus.NewDesc("gaea_bus_unreadable_total", "Messages of the event socket that were skipped because they could not be read.", nil, nil)
)

// archiveCollector counts the archive at each scrape.
type archiveCollector struct{ store archive.Store }

func (archiveCollector) Describe(c chan<- *prometheus.Desc) { c <- archiveRows; c <- archiveSize }

func (a archiveCollector) Collect(c chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), probeLimit)
	defer cancel()
	s, err := a.store.Stats(ctx)
	if err != nil {
		return // /readyz says why; the other metrics are what is looked at then
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
