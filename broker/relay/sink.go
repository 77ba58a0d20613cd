package relay

import (
	"errors"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
)

// Sink is shown what crosses a flow, besides the side that it is for.
type Sink interface {
	// Put hands over a message of that side, which the sink releases, at once where it has
	// no room. It is called with the flow locked, in the order in which the messages
	// cross, and so neither blocks nor calls back. While a sink holds a message its bytes
	// stay in the account of the peer that they came from: a sink that holds many slows
	// that peer.
	Put(from flow.Side, d transport.Delivery)
}

// MaxSinks bounds the sinks of one flow.
const MaxSinks = 4

// Errors of AddSink.
var (
	// ErrTooManySinks: the flow has MaxSinks.
	ErrTooManySinks = errors.New("the flow is watched by as many as may watch it")
	// ErrOver: the flow has ended.
	ErrOver = errors.New("the flow has ended")
)

// AddSink has a sink be shown what crosses from now on, BOTs and the EOTs of the gateway's
// own excepted, until the flow ends. The error is ErrTooManySinks or ErrOver.
func (f *Flow) AddSink(s Sink) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.state.Phase() == flow.Ended:
		return ErrOver
	case len(f.sinks) >= MaxSinks:
		return ErrTooManySinks
	}
	f.sinks = append(f.sinks, s)
	return nil
}

// RemoveSink shows a sink nothing more; when it has returned, Put will not be called again.
func (f *Flow) RemoveSink(s Sink) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, other := range f.sinks {
		if other == s {
			f.sinks = append(f.sinks[:i:i], f.sinks[i+1:]...)
			return
		}
	}
}
