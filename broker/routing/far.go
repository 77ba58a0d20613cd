package routing

import (
	"cmp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/matching"
)

// Far says of which other node of the cluster a route is.
type Far struct {
	// Node is the node's name, NodeID tells it from others of that name. Number is the
	// route's own there: those of a node are tried in the order of their numbers.
	Node, NodeID string
	Number       uint64
}

// FarRoute is a route of another node, while it is in the table: behind the routes that were
// added here, in its priority. A flow that came from another node does not take it. Its methods
// may be called concurrently.
type FarRoute struct {
	table *Table
	far   Far
	held  atomic.Pointer[Passed] // why it takes nothing just now; nil if it does
	entry *Entry                 // guarded by table.mu; nil when it was taken out
}

// AddFar puts a route of another node into the table. Another one may have its name.
func (t *Table) AddFar(r Route, of Far) (*FarRoute, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f := &FarRoute{table: t, far: of}
	f.entry = t.bear(r, Added, new(flowCount))
	f.entry.from = f
	i, _ := slices.BinarySearchFunc(t.others, f.entry, func(a, b *Entry) int { return a.from.far.compare(b.from.far) })
	t.others = slices.Insert(t.others, i, f.entry)
	t.arrange()
	return f, nil
}

func (f Far) compare(other Far) int {
	return cmp.Or(strings.Compare(f.Node, other.Node), strings.Compare(f.NodeID, other.NodeID), cmp.Compare(f.Number, other.Number))
}

// Remove takes it out; its flows go on. Removing again does nothing.
func (f *FarRoute) Remove() {
	f.table.mu.Lock()
	defer f.table.mu.Unlock()
	if f.entry != nil {
		f.table.others = slices.DeleteFunc(f.table.others, func(e *Entry) bool { return e == f.entry })
		f.entry = nil
		f.table.arrange()
	}
}

// Hold has it take nothing until Release, and says why.
func (f *FarRoute) Hold(why *Passed) { f.held.Store(why) }

// Release undoes Hold: flows that wait for a handler ask it again.
func (f *FarRoute) Release() {
	if f.held.Swap(nil) == nil {
		return
	}
	f.table.mu.Lock()
	defer f.table.mu.Unlock()
	if f.entry == nil {
		return
	}
	again := f.table.bear(f.entry.Route, Added, f.entry.flows)
	again.from = f
	f.table.others[slices.Index(f.table.others, f.entry)] = again
	f.entry = again
	f.table.arrange()
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
