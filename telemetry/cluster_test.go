package telemetry_test

import (
	"testing"

	"github.com/zioflow/gateway/telemetry"
)

// TestClusterMetrics: each scrape has what the node knows just then.
func TestClusterMetrics(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("v1")
	stats := telemetry.ClusterStats{
		Cluster: "lab", Node: "a",
		Nodes: []telemetry.ClusterNode{
			{Name: "a", Listeners: 1}, {Name: "b", Draining: true, Behind: true, Silent: 1.5, Listeners: 2, Routes: 7, In: 3, Out: 4},
		},
		Connected: true, Routes: 5, Joined: 6, Left: map[string]uint64{"silent": 7, "gone": 0}, Refused: map[string]uint64{"stranger": 8},
		TablesRead: 9, TablesFailed: 10, CarriedOut: 11, CarriedIn: 12, Passed: 13, BytesIn: 14, BytesOut: 15,
	}
	m.WatchCluster(func() telemetry.ClusterStats { return stats })
	want := map[string]string{
		`cluster_info{cluster="lab",node="a"}`: "1", `cluster_nodes{state="serving"}`: "1", `cluster_nodes{state="draining"}`: "1",
		`cluster_node_silence_seconds{node="a"}`: "0", `cluster_node_silence_seconds{node="b"}`: "1.5",
		`cluster_node_listeners{node="a"}`: "1", `cluster_node_listeners{node="b"}`: "2", `cluster_node_routes{node="b"}`: "7",
		`cluster_node_behind{node="a"}`: "0", `cluster_node_behind{node="b"}`: "1",
		`cluster_flows{direction="in",node="b"}`: "3", `cluster_flows{direction="out",node="b"}`: "4",
		`cluster_nodes_joined_total`: "6", `cluster_nodes_left_total{why="silent"}`: "7", `cluster_nodes_left_total{why="gone"}`: "0",
		`cluster_nodes_refused_total{cause="stranger"}`: "8",
		`cluster_table_reads_total{result="ok"}`:        "9", `cluster_table_reads_total{result="failed"}`: "10",
		`cluster_flows_carried_total{direction="out"}`: "11", `cluster_flows_carried_total{direction="in"}`: "12",
		`cluster_offers_passed_total`: "13", `cluster_bytes_total{direction="in"}`: "14", `cluster_bytes_total{direction="out"}`: "15",
		`cluster_nats_connected`: "1", `cluster_nats_routes`: "5",
	}
	wantSeries(t, m, want)
	stats.Connected, stats.Nodes = false, stats.Nodes[:1]
	want[`cluster_nats_connected`], want[`cluster_nodes{state="draining"}`] = "0", "0"
	for _, gone := range []string{`cluster_node_silence_seconds{node="b"}`, `cluster_node_listeners{node="b"}`, `cluster_node_routes{node="b"}`, `cluster_node_behind{node="b"}`, `cluster_flows{direction="in",node="b"}`, `cluster_flows{direction="out",node="b"}`} {
		delete(want, gone)
	}
	wantSeries(t, m, want)
}
