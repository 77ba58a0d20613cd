package broker

import (
	"errors"
	"math"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/transport"
)

// pageSize is how many flows or peers are looked up at once by those who go
// through all of them.
const pageSize = 256

// Latest is an id above all others, to begin at.
const Latest = math.MaxUint64

// Errors of EndFlow.
var (
	// ErrNoFlow: there is no such flow, or it is remembered no more.
	ErrNoFlow = errors.New("no such flow")
	// ErrEnded: the flow has ended before.
	ErrEnded = errors.New("the flow has ended")
)

// Flow finds a flow that has not ended or is remembered; nil if there is none.
func (b *Broker) Flow(id transport.FlowID) *relay.Flow { return b.registry.find(id) }

// FlowsBefore returns the flows with ids below that, ended ones that are
// remembered included, the latest first. Those that begin meanwhile are not among
// them; one that is forgotten meanwhile may be missing. It locks nothing between
// two of them.
func (b *Broker) FlowsBefore(id transport.FlowID) func(yield func(*relay.Flow) bool) {
	return func(yield func(*relay.Flow) bool) {
		for page := make([]*registered, 0, pageSize); ; {
			if page = b.registry.before(id, page[:0]); len(page) == 0 {
				return
			}
			for _, f := range page {
				if !yield(f.Flow) {
					return
				}
			}
			id = page[len(page)-1].ID()
		}
	}
}

// EndFlow ends a flow with EndedByAdmin, and returns how it was then. Both sides
// are told the detail. The error is ErrNoFlow or ErrEnded; with ErrEnded it
// returns the flow as it is.
func (b *Broker) EndFlow(id transport.FlowID, detail string) (relay.Info, error) {
	f := b.Flow(id)
	if f == nil {
		return relay.Info{}, ErrNoFlow
	}
	info, ended := f.End(flow.EndedByAdmin, detail)
	if !ended {
		return info, ErrEnded
	}
	return info, nil
}

// Watch begins to watch all flows, with room for that many events.
func (b *Broker) Watch(room int) *Watcher {
	w := &Watcher{among: &b.history.watchers, events: make(chan Event, max(1, room))}
	b.history.begin(w)
	return w
}

// WatchAfter is Watch that begins with the events after that one, as far as they are
// remembered: the last maxRemembered, unless their labels have more than
// maxWatchedLabels bytes. The Watcher has room for them besides. The error is an
// *EventError.
func (b *Broker) WatchAfter(room int, after uint64) (*Watcher, error) {
	w := &Watcher{among: &b.history.watchers}
	return w, b.history.resume(w, max(1, room), after)
}
