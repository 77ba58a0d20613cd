package telemetry

import "github.com/prometheus/client_golang/prometheus"

// The results of an attempt.
const (
	resultOK     = "ok"
	resultFailed = "failed"
)

func result(ok bool) string {
	if ok {
		return resultOK
	}
	return resultFailed
}

// addReloads makes the metrics of what is read anew while the gateway runs.
func (m *Metrics) addReloads() {
	m.fetches = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: prefix + "issuer_key_fetches_total",
		Help: "Attempts to fetch the keys of an issuer of JWTs, by issuer and result.",
	}, []string{"issuer", "result"})
	m.reloads = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: prefix + "reloads_total",
		Help: "Attempts to put a changed configuration, or changed keys and certificates, to use, by result.",
	}, []string{"result"})
	m.failing = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: prefix + "reloads_failing",
		Help: "How many of these, the configuration and the keys and certificates, were changed and are not in force.",
	})
	for _, ok := range []bool{true, false} {
		m.reloads.WithLabelValues(result(ok))
	}
	m.registry.MustRegister(m.fetches, m.reloads, m.failing)
}

// KeysFetched counts an attempt to fetch an issuer's keys. Issuers are those of the
// configuration, never what a peer has sent.
func (m *Metrics) KeysFetched(issuer string, ok bool) {
	m.fetches.WithLabelValues(issuer, result(ok)).Inc()
}

// Reloaded counts an attempt to put something changed to use, after which so many
// things are changed and not in force.
func (m *Metrics) Reloaded(ok bool, failing int) {
	m.reloads.WithLabelValues(result(ok)).Inc()
	m.failing.Set(float64(failing))
}
