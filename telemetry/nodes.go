package telemetry

import "github.com/prometheus/client_golang/prometheus"

// NodeStats is what has become of discovery so far. What counts upwards never falls.
type NodeStats struct {
	// Nodes are those that are known, Connecting the connections that are being made.
	Nodes, Connecting int
	// Sent and Heard count beacons.
	Sent, Heard uint64
	// Dropped counts what came and was dropped, by cause. All words that there are have
	// their number, also when that is 0: they are few, and never something that a node
	// has sent.
	Dropped map[string]uint64
	// Panics are mistakes in the gateway.
	Panics uint64
}

// WatchNodes adds the metrics of discovery; called once. stats is called at every
// scrape, concurrently.
func (m *Metrics) WatchNodes(stats func() NodeStats) { m.registry.MustRegister(discovery(stats)) }

// What is read from discovery at every scrape.
var (
	nodesKnown      = describe("nodes", "Nodes that discovery knows.")
	nodesConnecting = describe("node_connecting", "Connections to nodes that are being made.")
	nodeBeacons     = describe("node_beacons_total", "Beacons, with the gateway's own that it hears itself.", "direction")
	nodeDropped     = describe("node_dropped_total", "What came from the network for discovery and was dropped, by cause.", "cause")
	nodePanics      = describe("node_panics_total", "Mistakes in the gateway that have ended a part of discovery.")
)

// discovery implements prometheus.Collector.
type discovery func() NodeStats

// Describe implements prometheus.Collector.
func (discovery) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{nodesKnown, nodesConnecting, nodeBeacons, nodeDropped, nodePanics} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c discovery) Collect(to chan<- prometheus.Metric) {
	s := c()
	for d, value := range map[*prometheus.Desc]int{nodesKnown: s.Nodes, nodesConnecting: s.Connecting} {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value))
	}
	count := func(d *prometheus.Desc, value uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	count(nodeBeacons, s.Sent, "sent")
	count(nodeBeacons, s.Heard, "heard")
	for cause, n := range s.Dropped {
		count(nodeDropped, n, cause)
	}
	count(nodePanics, s.Panics)
}
