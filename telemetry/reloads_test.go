package telemetry_test

import (
	"testing"

	"github.com/zioflow/gateway/telemetry"
)

// TestReloadMetrics: what is read anew while the gateway runs.
func TestReloadMetrics(t *testing.T) {
	m := telemetry.NewMetrics("v1")
	wantSeries(t, m, map[string]string{
		`reloads_total{result="ok"}`: "0", `reloads_total{result="failed"}`: "0", `reloads_failing`: "0",
		`issuer_key_fetches_total{issuer="https://login",result="ok"}`: "",
	})
	m.Reloaded(false, 1)
	m.Reloaded(false, 2)
	m.Reloaded(true, 1)
	m.KeysFetched("https://login", true)
	m.KeysFetched("https://login", false)
	m.KeysFetched("https://login", false)
	wantSeries(t, m, map[string]string{
		`reloads_total{result="ok"}`: "1", `reloads_total{result="failed"}`: "2", `reloads_failing`: "1",
		`issuer_key_fetches_total{issuer="https://login",result="ok"}`:     "1",
		`issuer_key_fetches_total{issuer="https://login",result="failed"}`: "2",
	})
}
