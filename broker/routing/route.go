// Package routing finds handlers: the routes, the requests of flows that are pending, and
// the offers that are made of them.
package routing

import (
	"fmt"

	"github.com/zioflow/gateway/broker/matching"
)

// Route maps the BOTs that match to a factory.
type Route struct {
	// Name is how operators call it.
	Name string
	// Match selects; nil takes every BOT. One that is a fmt.Stringer has its text
	// shown to operators, one that is an Explainer explains itself.
	Match matching.Match
	// Priority orders the routes: higher ones are tried first.
	Priority int32
	// MaxCredit lowers the credit of the route's flows below the broker's limit; 0
	// for no further.
	MaxCredit int64
	// Factory finds the handlers. It may be an Explainer too.
	Factory Factory
}

// Validate names the first field that makes no sense.
func (r *Route) Validate() error {
	switch {
	case r.Name == "":
		return fmt.Errorf("a route needs a name")
	case r.MaxCredit < 0:
		return fmt.Errorf("route %s: max credit is %d, want 0 or more", r.Name, r.MaxCredit)
	case r.Factory == nil:
		return fmt.Errorf("route %s has no factory", r.Name)
	}
	return nil
}

// Lower is a limit of credit, or the route's own if that is less.
func (r *Route) Lower(limit int64) int64 {
	if r.MaxCredit > 0 {
		return min(limit, r.MaxCredit)
	}
	return limit
}

// Origin is where a route comes from. Routes of one priority are tried in the
// order of the origins.
type Origin uint8

// The origins.
const (
	Configured    Origin = iota + 1 // set by Table.Set
	Added                           // by Table.Add
	FromListeners                   // announced by listeners, whose name is the route's
	Default                         // by Table.AddDefault: tried last of all
	Named                           // by Table.AddNamed: tried between Added and Announced
)

var originNames = [...]string{"none", "configured", "added", "listener", "default", "builtin"}

func (o Origin) String() string { return originNames[o] }

// RouteInfo is a route with what became of it.
type RouteInfo struct {
	Route
	Origin Origin
	// Node is the name of the other node of the cluster whose route it is; empty for this
	// one's.
	Node string
	// Number is that of an added route, at its node: never used twice.
	Number uint64
	// Taken counts the flows that took the route since it was added, Flows those of
	// them that have not ended.
	Taken, Flows uint64
}
