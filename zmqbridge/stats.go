package zmqbridge

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
)

// outcome is how a connection's beginning has ended, in one word, for metrics.
type outcome string

// The outcomes, besides those of zmtp.
const (
	outcomeOK           outcome = "ok"
	outcomeSlow         outcome = "slow"          // took longer than it may
	outcomeLeft         outcome = "left"          // the peer has closed the connection
	outcomeName         outcome = "name"          // its name is in use, or none
	outcomeBusy         outcome = "busy"          // too many connections
	outcomeAcceptFailed outcome = "accept_failed" // the operating system gave none
	outcomeKey          outcome = "key"
	outcomeMechanism    outcome = "mechanism"
)

// outcomes are all there are, those of zmtp among them.
var outcomes = []outcome{
	outcomeOK, outcomeSlow, outcomeLeft, outcomeName, outcomeBusy, outcomeAcceptFailed, outcomeKey, outcomeMechanism,
	"foreign", "version", "socket_type", "refused", "protocol", "unknown",
}

// counters count by word. The words are known beforehand.
type counters struct{ counts map[outcome]*atomic.Uint64 }

func newCounters() counters {
	c := counters{counts: map[outcome]*atomic.Uint64{}}
	for _, o := range outcomes {
		c.counts[o] = new(atomic.Uint64)
	}
	return c
}

func (c counters) add(o outcome) {
	if n := c.counts[o]; n != nil {
		n.Add(1)
	}
}

// endpointStats counts what happens at an endpoint.
type endpointStats struct {
	outcomes          counters
	ended             map[cause]*atomic.Uint64
	bytesIn, bytesOut atomic.Uint64
	tooLarge          atomic.Uint64
}

// Stats is what has happened at an endpoint since it was opened, and what it holds.
type Stats struct {
	// Endpoint is "zmq-server" or "zmq-router".
	Endpoint string
	// Connections are those that are established, Handshaking those that begin.
	Connections, Handshaking int
	// Handshakes counts by outcome, Ended the connections that have ended by cause.
	Handshakes, Ended map[string]uint64
	// BytesIn and BytesOut are what was read and written.
	BytesIn, BytesOut uint64
	// OutboxMessages and OutboxBytes wait to be written, by weight.
	OutboxMessages, OutboxBytes int64
	// TooLarge counts the messages that were not kept for their size.
	TooLarge uint64
}

// Stats describes the endpoints as they are now.
func (b *bridge) Stats() []Stats {
	all := make([]Stats, 0, len(b.endpoints))
	for _, e := range b.endpoints {
		all = append(all, e.describe())
	}
	return all
}

// Panics counts those on connections' paths; each has ended one connection.
func (b *bridge) Panics() uint64 { return b.stats.panics.Load() }

func (e *endpoint) describe() Stats {
	s := Stats{
		Endpoint: e.front, Handshakes: map[string]uint64{}, Ended: map[string]uint64{},
		BytesIn: e.stats.bytesIn.Load(), BytesOut: e.stats.bytesOut.Load(), TooLarge: e.stats.tooLarge.Load(),
	}
	for o, n := range e.stats.outcomes.counts {
		s.Handshakes[string(o)] = n.Load()
	}
	for c, n := range e.stats.ended {
		s.Ended[string(c)] = n.Load()
	}
	conns := e.all()
	s.Connections = len(conns)
	for _, c := range conns {
		messages, bytes := c.out.Queued()
		s.OutboxMessages += messages
		s.OutboxBytes += bytes
	}
	e.mu.Lock()
	s.Handshaking = len(e.handshaking)
	e.mu.Unlock()
	return s
}

// reasonOf is an error of the network in the operating system's words, without
// addresses.
func reasonOf(err error) string {
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return e.Error()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "timeout"
	}
	return err.Error()
}
