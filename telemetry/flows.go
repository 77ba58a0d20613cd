package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/ledger"
	"github.com/zioflow/gateway/broker/transport"
)

const prefix = "zio_gateway_"

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prefix+name, help, labels, nil)
}

// What is read from the broker at every scrape.
var (
	draining     = describe("draining", "1 while new flows are refused, otherwise 0.")
	live         = describe("flows", "Flows that have not ended, by state.", "state")
	opened       = describe("flows_opened_total", "BOTs that became flows.")
	ended        = describe("flows_ended_total", "Flows that have ended, by reason.", "reason")
	botsRefused  = describe("bots_refused_total", "BOTs that were answered with EOT and became no flow, by reason.", "reason")
	messages     = describe("messages_total", "Messages of all types that a side has sent in flows.", "from")
	payload      = describe("bytes_total", "Payload bytes of these messages.", "from")
	dats         = describe("dats_total", "DATs that were passed on, by the side that gave them.", "from")
	datSizes     = describe("dat_size_bytes", "Payload of the DATs that were passed on.")
	stalled      = describe("stalled_seconds_total", "Time that active flows have waited, by whom they waited for.", "side")
	credit       = describe("credit", "Credit of the flows that have not ended, by where it is.", "where")
	queued       = describe("queued_messages", "DATs that wait in the gateway for their takers.")
	queuedBytes  = describe("queued_bytes", "Payload bytes that wait in the gateway for their takers.")
	peers        = describe("peers", "Connected peers, by transport.", "transport")
	listeners    = describe("listeners", "Registered listeners.")
	offers       = describe("offers", "Offers that can be accepted.")
	offersMade   = describe("offers_made_total", "Offers made to handlers.")
	limitFlows   = describe("flows_limit", "How many flows there may be at once.")
	limitPending = describe("pending_limit", "How many flows may wait for a handler at once.")
	limitBytes   = describe("queued_bytes_limit", "How many payload bytes may wait, besides a message of every flow.")

	heldBytes      = describe("held_bytes", "Bytes in the gateway that are charged to its budget.")
	heldLimit      = describe("held_bytes_limit", "How many bytes may be charged, besides a message of every peer.")
	waitingReaders = describe("waiting_readers", "Peers that are not read from, because there is no room for more of theirs.")
)

// transports have a series even before their first peer.
var transports = []string{"zmq-server", "zmq-router", "grpc", "builtin", "zmq-client", "cluster"}

// flows implements prometheus.Collector by the broker's Stats.
type flows struct{ broker *broker.Broker }

// Describe implements prometheus.Collector.
func (c *flows) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		draining, live, opened, ended, botsRefused, messages, payload, dats, datSizes, stalled, credit, queued,
		queuedBytes, peers, listeners, offers, offersMade, limitFlows, limitPending, limitBytes,
		heldBytes, heldLimit, waitingReaders,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *flows) Collect(to chan<- prometheus.Metric) {
	s, limits := c.broker.Stats(), c.broker.Options()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	counter := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, value, labels...)
	}
	gauge(draining, truth(s.Draining))
	gauge(live, float64(s.Pending), "pending")
	gauge(live, float64(s.Active), "active")
	gauge(live, float64(s.HalfClosed), "half_closed")
	gauge(limitFlows, float64(limits.MaxFlows))
	gauge(limitPending, float64(limits.MaxPending))

	counter(opened, float64(s.Opened))
	for _, reason := range flow.Reasons() {
		counter(ended, float64(s.Ended[reason]), reason.String())
		counter(botsRefused, float64(s.Refused[reason]), reason.String())
	}
	for from, t := range map[flow.Side]ledger.Traffic{flow.Client: s.FromClients, flow.Handler: s.FromHandlers} {
		counter(messages, float64(t.Messages), from.String())
		counter(payload, float64(t.Bytes), from.String())
		counter(dats, float64(t.DATs), from.String())
	}
	to <- histogram(datSizes, s.Data, s.Sizes)
	counter(stalled, s.Waits.Giver.Seconds(), "giver")
	counter(stalled, s.Waits.Taker.Seconds(), "taker")
	counter(stalled, s.Waits.Gateway.Seconds(), "gateway")

	gauge(credit, float64(s.Held), "held")
	gauge(credit, float64(s.Outstanding), "outstanding")
	gauge(credit, float64(s.Withheld), "withheld")
	gauge(queued, float64(s.Queued))
	gauge(queuedBytes, float64(s.QueuedBytes))
	gauge(limitBytes, float64(limits.MaxBytes))
	gauge(heldBytes, float64(c.broker.Held()))
	gauge(heldLimit, float64(limits.MaxBytes))
	gauge(waitingReaders, float64(c.broker.WaitingReaders()))

	for _, transport := range transports {
		gauge(peers, float64(s.Peers[transport]), transport)
	}
	gauge(listeners, float64(s.Listeners))
	gauge(offers, float64(s.OffersPending))
	counter(offersMade, float64(s.OffersMade))
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// histogram adds up the sizes, as Prometheus wants them.
func histogram(d *prometheus.Desc, data transport.Count, sizes ledger.Sizes) prometheus.Metric {
	buckets := make(map[float64]uint64, len(ledger.SizeBounds))
	var sum uint64
	for i, bound := range ledger.SizeBounds {
		sum += sizes[i]
		buckets[float64(bound)] = sum
	}
	return prometheus.MustNewConstHistogram(d, data.Messages, float64(data.Bytes), buckets)
}
