package telemetry_test

import (
	"testing"

	"github.com/zioflow/gateway/telemetry"
)

// TestNodeMetrics: each scrape has what discovery says just then.
func TestNodeMetrics(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("v1")
	stats := telemetry.NodeStats{
		Nodes: 1, Connecting: 2, Sent: 3, Heard: 4, Dropped: map[string]uint64{"own": 5, "busy": 0}, Panics: 6,
	}
	m.WatchNodes(func() telemetry.NodeStats { return stats })
	want := map[string]string{
		`nodes`: "1", `node_connecting`: "2", `node_beacons_total{direction="sent"}`: "3", `node_beacons_total{direction="heard"}`: "4",
		`node_dropped_total{cause="own"}`: "5", `node_dropped_total{cause="busy"}`: "0", `node_panics_total`: "6",
	}
	wantSeries(t, m, want)
	stats.Nodes, want["nodes"] = 7, "7"
	wantSeries(t, m, want)
}
