package ingest

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

type metrics struct {
	events    *prometheus.CounterVec
	returns   prometheus.Counter
	lag       prometheus.Histogram
	batch     prometheus.Histogram
	write     prometheus.Histogram
	errors    *prometheus.CounterVec
	gaps      prometheus.Counter
	recovered prometheus.Counter
	letGo     prometheus.Counter
	lost      prometheus.Counter

	passedOver prometheus.Counter
	truncated  prometheus.Counter
	suspect    prometheus.Counter

	connected prometheus.Gauge

	spilled      prometheus.Counter
	spilledBytes prometheus.Counter
	forwarded    prometheus.Counter

	verified    prometheus.Counter
	differences *prometheus.CounterVec
}

// gauges tells how much waits.
func (i *Ingester) gauges(f promauto.Factory) {
	q := i.queue
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gaea_ingest_queue_events", Help: "Events that wait to be stored.",
	}, func() float64 { n, _ := q.depth(); return float64(n) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gaea_ingest_queue_bytes", Help: "Bytes of the events that wait to be stored.",
	}, func() float64 { _, n := q.depth(); return float64(n) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gaea_ingest_open_gaps", Help: "Gaps that are known and not fetched from the job cache yet.",
	}, func() float64 { return float64(i.openGaps()) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gaea_ingest_spill_records", Help: "Events, jobs and returns that wait on disk until the archive takes them.",
	}, func() float64 { return float64(i.depth().Records) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gaea_ingest_spill_bytes", Help: "Bytes of what waits on disk until the archive takes it.",
	}, func() float64 { return float64(i.depth().Bytes) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gaea_ingest_spill_max_bytes", Help: "How much may wait on disk (--spill-max), a quarter of it for what is in no cache; 0 where nothing may.",
	}, func() float64 { return float64(i.spillBound()) })
}

func newMetrics(reg prometheus.Registerer, i *Ingester) *metrics {
	f := promauto.With(reg)
	i.gauges(f)
	m := &metrics{
		events: f.NewCounterVec(prometheus.CounterOpts{
			Name: "gaea_ingest_events_total", Help: "Events read from the master's bus, by what they are.",
		}, []string{"kind"}),
		returns: f.NewCounter(prometheus.CounterOpts{
			Name: "gaea_ingest_returns_stored_total", Help: "Returns handed to the archive, replays included.",
		}),
		lag: f.NewHistogram(prometheus.HistogramOpts{
			Name: "gaea_ingest_lag_seconds", Help: "From the master's stamp on a return of the bus to the return being stored.",
			Buckets: []float64{.005, .01, .025, .05, .075, .1, .15, .2, .25, .3, .4, .5, .75, 1, 2.5, 5, 10, 60, 600},
		}),
		batch: f.NewHistogram(prometheus.HistogramOpts{
			Name: "gaea_ingest_batch_events", Help: "Events stored in one transaction.",
			Buckets: []float64{1, 2, 5, 10, 25, 50, 100, 250, 500},
		}),
		write: f.NewHistogram(prometheus.HistogramOpts{
			Name: "gaea_ingest_database_seconds", Help: "Time of one transaction of the archive.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30},
		}),
		errors: f.NewCounterVec(prometheus.CounterOpts{
			Name: "gaea_ingest_errors_total", Help: "What went wrong, by where: bus, store (it is tried again), spill (events wait in memory), refused (a record is stored as an event, or skipped), recovery, trimmed.",
		}, []string{"where"}),
		gaps: f.NewCounter(prometheus.CounterOpts{
			Name: "gaea_ingest_gaps_total", Help: "Times in which events may have been missed: starts, lost connections, a full spill or queue.",
		}),
		recovered: f.NewCounter(prometheus.CounterOpts{
			Name: "gaea_ingest_recovered_returns_total", Help: "Returns that were missed on the bus and fetched from the job cache.",
		}),
		letGo: f.NewCounter(prometheus.CounterOpts{
			Name: "gaea_ingest_let_go_total", Help: "Events, jobs and returns that a full spill or queue left to be fetched from the job cache.",
		}),
		lost: f.NewCounter(prometheus.CounterOpts{
			Name: "gaea_ingest_lost_events_total", Help: "Events in no cache that a full queue could not keep.",
		}),
		spilled: f.NewCounter(prometheus.CounterOpts{
			Name: "gaea_ingest_spilled_records_total", Help: "Events, jobs and returns that were put on disk because the archive was away or slow.",
		}),
		spilledBytes: f.NewCounter(prometheus.CounterOpts{
			Name: "gaea_ingest_spilled_bytes_total", Help: "Bytes that were put on disk because the archive was away or slow.",
		}),
		forwarded: f.NewCounter(prometheus.CounterOpts{
			Name: "gaea_ingest_forwarded_records_total", Help: "Events, jobs and returns that the archive has taken from the disk.",
		}),
		passedOver: f.NewCounter(prometheus.CounterOpts{
			Name: "gaea_ingest_passed_over_total", Help: "Messages of the bus that could not be read; what they told of jobs is fetched from the job cache.",
		}),
		truncated: f.NewCounter(prometheus.CounterOpts{
			Name: "gaea_ingest_truncated_total", Help: "Events of the bus that were larger than max_return_size, or nested too deep, and of which only the beginning is kept.",
		}),
		suspect: f.NewCounter(prometheus.CounterOpts{
			Name: "gaea_ingest_suspect_events_total", Help: "Events that are not what their tags say, for example a return in the name of another minion.",
		}),
		connected: f.NewGauge(prometheus.GaugeOpts{
			Name: "gaea_bus_connected", Help: "1 while the master's event bus is connected.",
		}),
		verified: f.NewCounter(prometheus.CounterOpts{
			Name: "gaea_archive_verify_jobs_total", Help: "Jobs that were compared with the master's job cache because somebody asked.",
		}),
		differences: f.NewCounterVec(prometheus.CounterOpts{
			Name: "gaea_archive_verify_differences_total", Help: "What was missing or different in the archive when it was verified, by what it is.",
		}, []string{"kind"}),
	}
	// All values are there from the start: a rate needs the 0 before the first.
	for _, kind := range []string{kindJob, kindPublication, kindReturn, kindEvent, kindIgnored} {
		m.events.WithLabelValues(kind)
	}
	for _, where := range []string{"bus", "store", "spill", "refused", "recovery", "trimmed"} {
		m.errors.WithLabelValues(where)
	}
	for _, kind := range gaea.DifferenceKinds() {
		m.differences.WithLabelValues(string(kind))
	}
	return m
}

// What an event of the bus is.
const (
	kindJob         = "job"
	kindPublication = "publication"
	kindReturn      = "return"
	kindEvent       = "event"
	kindIgnored     = "ignored" // it repeats another one
)
