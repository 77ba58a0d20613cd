package telemetry

import "github.com/prometheus/client_golang/prometheus"

// ZMQEndpoint is what has happened at a ZeroMQ endpoint since it was opened, and what
// it holds. What counts upwards never falls.
type ZMQEndpoint struct {
	// Name is "zmq-server" or "zmq-router".
	Name string
	// Connections are those that are established, Handshaking those that begin.
	Connections, Handshaking int
	// Handshakes counts by outcome, Ended the connections that have ended, by cause.
	// All words that there are have their number, also when that is 0: they are few,
	// and never something that a peer has sent.
	Handshakes, Ended map[string]uint64
	// BytesIn and BytesOut are what was read and written.
	BytesIn, BytesOut uint64
	// OutboxMessages and OutboxBytes wait to be written.
	OutboxMessages, OutboxBytes int64
	// TooLarge counts messages that were not kept for their size.
	TooLarge uint64
}

// WatchZMQ adds the metrics of the ZeroMQ front; called once. Both are called at every
// scrape, concurrently: endpoints describes those that there are, panics counts
// connections that a mistake in the gateway has ended.
func (m *Metrics) WatchZMQ(endpoints func() []ZMQEndpoint, panics func() uint64) {
	m.registry.MustRegister(&zmqFront{endpoints, panics})
}

// What is read from the ZeroMQ front at every scrape.
var (
	zmqConnections = describe("zmq_connections", "Established ZeroMQ connections, by endpoint.", "endpoint")
	zmqHandshaking = describe("zmq_handshaking", "ZeroMQ connections that are in their handshake.", "endpoint")
	zmqHandshakes  = describe("zmq_handshakes_total", "ZeroMQ handshakes that are over, by outcome.", "endpoint", "outcome")
	zmqEnded       = describe("zmq_connections_ended_total",
		"Established ZeroMQ connections that have ended, by cause.", "endpoint", "cause")
	zmqBytes = describe("zmq_bytes_total", "Bytes that ZeroMQ connections have carried, framing included.",
		"endpoint", "direction")
	zmqOutboxMessages = describe("zmq_outbox_messages", "Messages that wait to be written to ZeroMQ connections.", "endpoint")
	zmqOutboxBytes    = describe("zmq_outbox_bytes", "Weight of these messages.", "endpoint")
	zmqTooLarge       = describe("zmq_too_large_total", "Messages of ZeroMQ peers that were not kept for their size.", "endpoint")
	zmqPanics         = describe("zmq_panics_total", "ZeroMQ connections that a mistake in the gateway has ended.")
)

// zmqFront implements prometheus.Collector.
type zmqFront struct {
	endpoints func() []ZMQEndpoint
	panics    func() uint64
}

// Describe implements prometheus.Collector.
func (c *zmqFront) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		zmqConnections, zmqHandshaking, zmqHandshakes, zmqEnded, zmqBytes, zmqOutboxMessages, zmqOutboxBytes, zmqTooLarge, zmqPanics,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *zmqFront) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	counter := func(d *prometheus.Desc, value uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	for _, e := range c.endpoints() {
		gauge(zmqConnections, float64(e.Connections), e.Name)
		gauge(zmqHandshaking, float64(e.Handshaking), e.Name)
		for outcome, n := range e.Handshakes {
			counter(zmqHandshakes, n, e.Name, outcome)
		}
		for cause, n := range e.Ended {
			counter(zmqEnded, n, e.Name, cause)
		}
		counter(zmqBytes, e.BytesIn, e.Name, "in")
		counter(zmqBytes, e.BytesOut, e.Name, "out")
		gauge(zmqOutboxMessages, float64(e.OutboxMessages), e.Name)
		gauge(zmqOutboxBytes, float64(e.OutboxBytes), e.Name)
		counter(zmqTooLarge, e.TooLarge, e.Name)
	}
	counter(zmqPanics, c.panics())
}
