package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/transport"
)

// Options are a broker's limits. DefaultOptions has values for all of them.
type Options struct {
	// MaxCredit bounds every flow's total; a larger offer is lowered. At least 1.
	MaxCredit int64
	// MaxMessage bounds a message's Weight: its payload, in bytes, together with what
	// label and parts take beyond what is free. At least 1.
	MaxMessage int
	// MaxFlows bounds the flows that have not ended, MaxPending those of them
	// that wait for a handler. At least 1.
	MaxFlows, MaxPending int
	// MaxBytes bounds the weight of what waits in the broker, in bytes, together with one
	// message of every flow. MaxFlowBytes is the same for one flow. At least
	// MaxMessage.
	MaxBytes, MaxFlowBytes int64
	// PendingTimeout is how long a flow waits for its handler's BOT.
	PendingTimeout time.Duration
	// HandlerWait is how long a flow that no route takes waits for one that does, or
	// for a listener, within PendingTimeout; 0 for not at all.
	HandlerWait time.Duration
	// EOTTimeout is how long a flow waits for the answer to an EOT.
	EOTTimeout time.Duration
	// IdleTimeout is how long an active flow may go without a message; 0 for
	// ever.
	IdleTimeout time.Duration
	// KeepEnded is how many ended flows are remembered for those who ask.
	KeepEnded int
	// Observers are told of every phase of every flow; not to be changed.
	Observers []Observer
	// Denied is told of every BOT that was refused for want of a right; nil for
	// nobody. It may be called concurrently, and must not block.
	Denied func(transport.PeerInfo, flow.Denial)
	// Log takes the broker's log; nil for none.
	Log *slog.Logger

	ofFlow relay.Limits // set where the options are put to use
}

// DefaultOptions are the limits of a gateway that nobody configured.
func DefaultOptions() Options {
	return Options{
		MaxCredit:      1000,
		MaxMessage:     64 << 20,
		MaxBytes:       8 << 30,
		MaxFlowBytes:   8 << 30,
		MaxFlows:       20_000,
		MaxPending:     5_000,
		PendingTimeout: 5 * time.Second,
		HandlerWait:    2 * time.Second,
		EOTTimeout:     30 * time.Second,
		KeepEnded:      1000,
		Log:            slog.New(slog.DiscardHandler),
	}
}

// Validate names the first field that makes no sense.
func (o Options) Validate() error {
	atLeastOne := []struct {
		name  string
		value int64
	}{
		{"max-credit", o.MaxCredit},
		{"max-message", int64(o.MaxMessage)},
		{"max-flows", int64(o.MaxFlows)},
		{"max-pending", int64(o.MaxPending)},
		{"pending-timeout", int64(o.PendingTimeout)},
		{"eot-timeout", int64(o.EOTTimeout)},
	}
	for _, field := range atLeastOne {
		if field.value < 1 {
			return fmt.Errorf("%s is %d, want more than 0", field.name, field.value)
		}
	}
	least := int64(o.MaxMessage)
	if o.MaxBytes < least {
		return fmt.Errorf("max-bytes is %d, want at least max-message, %d", o.MaxBytes, least)
	}
	if o.MaxFlowBytes < least {
		return fmt.Errorf("max-flow-bytes is %d, want at least max-message, %d", o.MaxFlowBytes, least)
	}
	if o.IdleTimeout < 0 {
		return fmt.Errorf("idle-timeout is %v, want 0 or more", o.IdleTimeout)
	}
	if o.HandlerWait < 0 {
		return fmt.Errorf("handler-wait is %v, want 0 or more", o.HandlerWait)
	}
	if o.KeepEnded < 0 {
		return errors.New("number of ended flows to keep is negative")
	}
	return nil
}

// OutboxLimit is how many messages a peer's outbox must hold: all that a flow
// may have under way, twice, for a peer that begins another meanwhile.
func (o Options) OutboxLimit() int { return 2*int(o.MaxCredit) + 8 }

// flow is what concerns a single flow.
func (o *Options) flow() *relay.Limits { return &o.ofFlow }

// put is a copy of the options for use.
func (o Options) put() *Options {
	o.ofFlow = relay.Limits{
		MaxCredit: o.MaxCredit, MaxMessage: o.MaxMessage, MaxFlowBytes: o.MaxFlowBytes,
		PendingTimeout: o.PendingTimeout, HandlerWait: o.HandlerWait, EOTTimeout: o.EOTTimeout, IdleTimeout: o.IdleTimeout,
	}
	return &o
}
