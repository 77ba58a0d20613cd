package telemetry_test

import (
	"testing"
	"time"

	"github.com/zioflow/gateway/telemetry"
)

// TestCertificateMetrics: each scrape has the certificates that are in use just then.
func TestCertificateMetrics(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("v1")
	in := []telemetry.Certificate{{
		Option: "tls-cert", Subject: "CN=gw", Serial: "2a", NotBefore: time.Unix(1000, 0), NotAfter: time.Unix(2000, 0),
	}}
	m.WatchCertificates(func() []telemetry.Certificate { return in })
	const before, after = `certificate_not_before_timestamp_seconds`, `certificate_not_after_timestamp_seconds`
	wantSeries(t, m, map[string]string{
		before + `{option="tls-cert",serial="2a",subject="CN=gw"}`: "1000",
		after + `{option="tls-cert",serial="2a",subject="CN=gw"}`:  "2000",
	})
	in[0].Serial = "2b"
	wantSeries(t, m, map[string]string{
		after + `{option="tls-cert",serial="2b",subject="CN=gw"}`: "2000",
		after + `{option="tls-cert",serial="2a",subject="CN=gw"}`: "",
	})
}
