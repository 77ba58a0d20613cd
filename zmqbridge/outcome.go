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
	outcomes counters
	ended    map[cause]*atomic.Uint64
	traffic
	tooLarge atomic.Uint64
}

// refused is why a peer is not let in, in words that it is told.
type refused struct {
	outcome outcome
	detail  string
}

func (r *refused) Error() string { return r.detail }

// Reason implements what zmtp looks for.
func (r *refused) Reason() string { return r.detail }

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
