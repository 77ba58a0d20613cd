package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Certificate is one that the gateway uses.
type Certificate struct {
	// Option is the flag that names its file, without dashes; Subject whose it is;
	// Serial its number in hexadecimal.
	Option, Subject, Serial string
	// NotBefore and NotAfter are when it is valid.
	NotBefore, NotAfter time.Time
}

// WatchCertificates adds the metrics of certificates; called once. The function is called
// at every scrape, concurrently, and returns each certificate once.
func (m *Metrics) WatchCertificates(list func() []Certificate) {
	m.registry.MustRegister(certificates(list))
}

// What is read at every scrape.
var (
	certificateLabels = []string{"option", "subject", "serial"}
	notAfter          = describe("certificate_not_after_timestamp_seconds",
		"When a certificate in use expires, in seconds since 1970.", certificateLabels...)
	notBefore = describe("certificate_not_before_timestamp_seconds",
		"Since when a certificate in use is valid, in seconds since 1970.", certificateLabels...)
)

// certificates implements prometheus.Collector.
type certificates func() []Certificate

// Describe implements prometheus.Collector.
func (certificates) Describe(to chan<- *prometheus.Desc) {
	to <- notAfter
	to <- notBefore
}

// Collect implements prometheus.Collector.
func (list certificates) Collect(to chan<- prometheus.Metric) {
	for _, c := range list() {
		for d, at := range map[*prometheus.Desc]time.Time{notAfter: c.NotAfter, notBefore: c.NotBefore} {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(at.Unix()), c.Option, c.Subject, c.Serial)
		}
	}
}
