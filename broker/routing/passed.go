package routing

import (
	"cmp"
	"strings"
	"sync/atomic"

	"github.com/zioflow/gateway/broker/flow"
)

// Far says of which other node of the cluster a route is.
type Far struct {
	// Node is the node's name, NodeID tells it from others of that name. Number is the
	// route's own there: those of a node are tried in the order of their numbers.
	Node, NodeID string
	Number       uint64
}

// place is where a route of another node is, and whether it takes anything. It may be used
// concurrently.
type place struct {
	far  Far
	held atomic.Pointer[Passed] // why it takes nothing just now; nil if it does
}

func (f Far) compare(other Far) int {
	return cmp.Or(strings.Compare(f.Node, other.Node), strings.Compare(f.NodeID, other.NodeID), cmp.Compare(f.Number, other.Number))
}

// Passed is what a factory returns that cannot have the flow taken where it leads, just now: the
// flow is as it was before, and takes the next route that matches, or waits for one.
type Passed struct {
	// Reason and Why are what it means if no other is found.
	Reason flow.Reason
	Why    string
}

func (p *Passed) Error() string { return p.Reason.String() + ": " + p.Why }

// with is what it means with what was asked besides.
func (p *Passed) with(asked string) *flow.Error {
	if p == nil {
		return &flow.Error{Reason: flow.NoHandler, Detail: asked}
	}
	return &flow.Error{Reason: p.Reason, Detail: p.Why + ", and " + asked}
}
