// Package telemetry shows what the broker does to those who watch over it: as
// Prometheus metrics and as OpenTelemetry traces. It knows neither the broker's
// transports nor what is served on them.
package telemetry

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
)

// Metrics is a registry of all that the gateway counts. Names and labels are part
// of the outside contract; docs/metrics.md tells what they mean. Its methods may
// be called concurrently.
type Metrics struct {
	registry  *prometheus.Registry
	durations prometheus.Histogram
	refusals  *prometheus.CounterVec
	lines     *prometheus.CounterVec
	left      *prometheus.CounterVec
	spans     *prometheus.CounterVec
	fetches   *prometheus.CounterVec
	reloads   *prometheus.CounterVec
	failing   prometheus.Gauge
}

// NewMetrics makes the metrics of a program of that version.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		durations: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    prefix + "flow_duration_seconds",
			Help:    "How long flows lasted, from the client's BOT to the end.",
			Buckets: []float64{.001, .01, .1, 1, 10, 60, 600, 3600, 6 * 3600, 24 * 3600},
		}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "auth_failures_total",
			Help: "Attempts that were refused for want of proof or permission, by front and cause.",
		}, []string{"front", "cause"}),
		lines: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "log_lines_total",
			Help: "Lines logged, by level.",
		}, []string{"level"}),
		left: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "log_suppressed_total",
			Help: "Lines not logged because their peer has caused too many of that kind.",
		}, []string{"kind"}),
		spans: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "spans_total",
			Help: "Spans of flows that have ended, and what has become of them.",
		}, []string{"result"}),
	}
	m.addReloads()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: prefix + "build_info", Help: "1; the labels tell what is running.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	for _, level := range levels {
		m.lines.WithLabelValues(level)
	}
	for _, result := range []string{"ended", "exported", "failed"} {
		m.spans.WithLabelValues(result)
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		build, m.durations, m.refusals, m.lines, m.left, m.spans,
	)
	return m
}

// Watch adds the metrics of a broker; called once. That broker's Observers should
// have these metrics among them.
func (m *Metrics) Watch(b *broker.Broker) { m.registry.MustRegister(&flows{broker: b}) }

// WatchLog adds the number of lines that were logged but not written, since the
// log's reader stands still or is gone; called once. The function may be called
// concurrently.
func (m *Metrics) WatchLog(dropped func() uint64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: prefix + "log_dropped_total",
		Help: "Lines that were logged but not written: their reader stands still or is gone.",
	}, func() float64 { return float64(dropped()) }))
}

// Observe implements broker.Observer.
func (m *Metrics) Observe(e broker.Event) {
	if e.Flow.Phase == flow.Ended {
		m.durations.Observe(e.Time.Sub(e.Flow.Opened).Seconds())
	}
}

// Registry has all metrics, and takes those of others.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// AuthCauses names causes that AuthFailed may be called with, so that they are
// there, with 0, before the first failure.
func (m *Metrics) AuthCauses(front string, causes ...string) {
	for _, cause := range causes {
		m.refusals.WithLabelValues(front, cause)
	}
}

// AuthFailed counts an attempt that was refused. The front is a transport's name;
// the cause is one of a few fixed words, never something that a peer has sent.
func (m *Metrics) AuthFailed(front, cause string) { m.refusals.WithLabelValues(front, cause).Inc() }
