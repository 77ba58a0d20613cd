package routing

import (
	"sync/atomic"

	"github.com/zioflow/gateway/broker/matching"
)

// Entry is a route in the table, with what has become of it. Its methods may be called
// concurrently.
type Entry struct {
	Route
	origin    Origin
	born      uint64 // its place among routes and listeners by age
	flows     *flowCount
	announced Announced // behind an Announced one; nil for others
	from      *place    // of another node's; nil for others

	far, withdrawn bool // of an announced one: used by announcements alone
}

// NewAnnounced is the entry of a route that a announces.
func NewAnnounced(r Route, a Announced) *Entry {
	return &Entry{Route: r, origin: FromListeners, flows: new(flowCount), announced: a}
}

// Announced is what stands behind the route; nil if it was set.
func (e *Entry) Announced() Announced { return e.announced }

// flowCount counts a route's flows.
type flowCount struct{ taken, live atomic.Uint64 }

// Begin and End count a flow that takes the route.
func (e *Entry) Begin() {
	e.flows.taken.Add(1)
	e.flows.live.Add(1)
}

// End is Begin's counterpart.
func (e *Entry) End() { e.flows.live.Add(^uint64(0)) }

func (e *Entry) takes(v *matching.View) bool { return e.Match == nil || e.Match.Match(v) }

func (e *Entry) info() RouteInfo {
	return RouteInfo{
		Route: e.Route, Origin: e.origin, Node: e.node(), Number: e.number(), Taken: e.flows.taken.Load(), Flows: e.flows.live.Load(),
	}
}

// heldBy is why a route takes nothing just now; nil if it does.
func (e *Entry) heldBy() *Passed {
	if e.from == nil {
		return nil
	}
	return e.from.held.Load()
}

// node is the name of the node whose route it is; empty for this one's.
func (e *Entry) node() string {
	if e.from == nil {
		return ""
	}
	return e.from.far.Node
}

// number is that of an added route, at its node.
func (e *Entry) number() uint64 {
	switch {
	case e.from != nil:
		return e.from.far.Number
	case e.origin == Added:
		return e.born
	}
	return 0
}

// mayCross tells whether the flow may go as far as the route leads: one that came from another node
// goes no further.
func (e *Entry) mayCross(v *matching.View) bool { return e.from == nil || v.Peer.Node == "" }
