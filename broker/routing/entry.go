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
}

// Announced is what stands behind a route that nobody has set: its listeners. Its methods
// may be called concurrently.
type Announced interface {
	// Size is how many there are.
	Size() int
	// Far tells that all of them are at other nodes: then the route comes after those
	// of which that is not so.
	Far() bool
	// Takes tells whether one of those that came after the asked ones takes the request,
	// and shares the turn between two of them.
	Takes(e *Evaluation, asked uint64) (bool, error)
	matching.Explainer
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
	return RouteInfo{Route: e.Route, Origin: e.origin, Taken: e.flows.taken.Load(), Flows: e.flows.live.Load()}
}
