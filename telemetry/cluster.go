package telemetry

import "github.com/prometheus/client_golang/prometheus"

// ClusterStats is how a node of a cluster sees it. What counts upwards never falls.
type ClusterStats struct {
	// Cluster and Node are the names of the cluster, and of the gateway in it.
	Cluster, Node string
	// Nodes are all nodes, this one included, each name once.
	Nodes []ClusterNode
	// Connected tells that there is a connection to NATS; Routes are those of a NATS server
	// of the node's own to others, -1 without one.
	Connected bool
	Routes    int
	// Joined counts nodes that were taken in; Left those that are there no more, and Refused
	// those that were warned of, by fixed words.
	Joined        uint64
	Left, Refused map[string]uint64
	// TablesRead and TablesFailed count attempts to read a node's listeners whole.
	TablesRead, TablesFailed uint64
	// CarriedOut counts flows that were carried to other nodes, CarriedIn those that others
	// have asked to carry here, Passed offers that another node did not take.
	CarriedOut, CarriedIn, Passed uint64
	// BytesIn and BytesOut have gone over the connections for flows, as they were sent.
	BytesIn, BytesOut uint64
}

// ClusterNode is a node, or all of one name.
type ClusterNode struct {
	Name string
	// Draining: it refuses new flows. Behind: a part of what it has said of its listeners
	// and routes is not known here.
	Draining, Behind bool
	// Silent are the seconds since its latest beat; 0 of this node itself.
	Silent float64
	// Listeners and Routes are those that are known. In and Out are flows that are carried from it,
	// and to it.
	Listeners, Routes, In, Out int
}

// WatchCluster adds the metrics of a cluster; called once. stats is called at every scrape,
// concurrently.
func (m *Metrics) WatchCluster(stats func() ClusterStats) { m.registry.MustRegister(cluster(stats)) }

// What is read from the cluster at every scrape.
var (
	clusterInfo      = describe("cluster_info", "1; the labels tell which node of which cluster this is.", "cluster", "node")
	clusterNodes     = describe("cluster_nodes", "Nodes of the cluster, this one included, by state.", "state")
	clusterSilence   = describe("cluster_node_silence_seconds", "How long a node has not been heard.", "node")
	clusterListeners = describe("cluster_node_listeners", "Listeners of a node that are known.", "node")
	clusterAdded     = describe("cluster_node_routes", "Routes that operators have added at a node that are known.", "node")
	clusterBehind    = describe("cluster_node_behind", "1 while a part of what a node has said of its listeners and routes is not known, otherwise 0.", "node")
	clusterFlows     = describe("cluster_flows", "Flows that are carried from another node (in) or to it (out).", "node", "direction")
	clusterJoined    = describe("cluster_nodes_joined_total", "Nodes that were taken in.")
	clusterLeft      = describe("cluster_nodes_left_total", "Nodes that are there no more, by how that was seen.", "why")
	clusterRefused   = describe("cluster_nodes_refused_total", "Nodes that were not taken in, or not with all that they have, or have the name of another, by cause.", "cause")
	clusterTables    = describe("cluster_table_reads_total", "Attempts to read the listeners and routes of a node whole, by result.", "result")
	clusterCarried   = describe("cluster_flows_carried_total", "Flows that were carried to other nodes (out), or that they have asked to carry (in).", "direction")
	clusterPassed    = describe("cluster_offers_passed_total", "Flows that another node did not take, and that went to the next listener or route.")
	clusterBytes     = describe("cluster_bytes_total", "Bytes on the connections for flows to and from other nodes.", "direction")
	clusterConnected = describe("cluster_nats_connected", "1 while there is a connection to NATS, otherwise 0.")
	clusterRoutes    = describe("cluster_nats_routes", "Connections of the node's own NATS server to those of other nodes.")
)

// cluster implements prometheus.Collector.
type cluster func() ClusterStats

// Describe implements prometheus.Collector.
func (cluster) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		clusterInfo, clusterNodes, clusterSilence, clusterListeners, clusterAdded, clusterBehind, clusterFlows, clusterJoined, clusterLeft,
		clusterRefused, clusterTables, clusterCarried, clusterPassed, clusterBytes, clusterConnected, clusterRoutes,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c cluster) Collect(to chan<- prometheus.Metric) {
	s := c()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	count := func(d *prometheus.Desc, value uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	gauge(clusterInfo, 1, s.Cluster, s.Node)
	states := map[string]int{"serving": 0, "draining": 0}
	for _, n := range s.Nodes {
		if n.Draining {
			states["draining"]++
		} else {
			states["serving"]++
		}
		gauge(clusterSilence, n.Silent, n.Name)
		gauge(clusterListeners, float64(n.Listeners), n.Name)
		gauge(clusterAdded, float64(n.Routes), n.Name)
		gauge(clusterBehind, truth(n.Behind), n.Name)
		if n.Name != s.Node {
			gauge(clusterFlows, float64(n.In), n.Name, "in")
			gauge(clusterFlows, float64(n.Out), n.Name, "out")
		}
	}
	for state, n := range states {
		gauge(clusterNodes, float64(n), state)
	}
	for why, n := range s.Left {
		count(clusterLeft, n, why)
	}
	for cause, n := range s.Refused {
		count(clusterRefused, n, cause)
	}
	count(clusterJoined, s.Joined)
	count(clusterTables, s.TablesRead, resultOK)
	count(clusterTables, s.TablesFailed, resultFailed)
	count(clusterCarried, s.CarriedIn, "in")
	count(clusterCarried, s.CarriedOut, "out")
	count(clusterPassed, s.Passed)
	count(clusterBytes, s.BytesIn, "in")
	count(clusterBytes, s.BytesOut, "out")
	gauge(clusterConnected, truth(s.Connected))
	if s.Routes >= 0 {
		gauge(clusterRoutes, float64(s.Routes))
	}
}
