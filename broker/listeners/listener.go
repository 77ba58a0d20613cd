// Package listeners is the processes that handle flows for as long as they are registered:
// a factory that offers each flow to those of a name, the least busy first.
package listeners

import (
	"cmp"
	"container/list"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/rights"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
)

// Spec is what a listener announces.
type Spec struct {
	// Name is shared by the listeners that share their flows.
	Name string
	// Match selects the flows; nil takes every one.
	Match matching.Match
	// MaxFlows bounds the listener's flows, offers included; 0 for no bound.
	MaxFlows int
	// Sink is told of offers.
	Sink Sink
	// Peer is who listens. Where it has a Name, its offers are for peers of that
	// name alone. Where it has a Node the listener is at that node of the cluster, which
	// has asked it for its rights: it is a far one, whose Sink takes the flow there. It
	// comes after all others, is offered no flow that came from another node, and its
	// offers are for whom the Sink tells.
	Peer transport.PeerInfo
	// Grant says what it may be offered; nil for everything.
	Grant rights.Grant
}

// Sink takes what a listener is told. Its methods do not block; they
// may be called concurrently.
type Sink interface {
	// Offer tells of a request. An error says that the listener can't be told.
	Offer(routing.Offer) error
	// Withdraw tells that an offer has become void, and why.
	Withdraw(cid uint64, reason flow.Reason)
}

// Listener is a process that handles flows, for as long as it is registered.
type Listener struct {
	spec       Spec
	id         uint64
	registered time.Time
	registry   *Registry
	group      *group
	gone       chan struct{} // closed by Close
	once       sync.Once
	born       uint64 // its place among routes and listeners by age

	busy      int       // guarded by group.mu; flows and offers
	waiting   list.List // guarded by group.mu; of *waiter, first come, first served
	left      bool      // guarded by group.mu; is registered no more
	lapses    int       // guarded by group.mu; offers in a row that it let lapse
	lateUntil time.Time // guarded by group.mu; until then it comes last
	elsewhere int       // guarded by group.mu; of a far one: flows that it has from others
	held      bool      // guarded by group.mu; likewise: it takes nothing just now
	noted     bool      // guarded by group.mu; of a near one: that busy is another has been noted
}

// Info describes a listener at one moment.
type Info struct {
	ID   uint64
	Name string
	// Match is the text of its expression; empty if it takes every flow.
	Match string
	// MaxFlows bounds Flows, offers included; 0 for no bound. Of a far one these are all that it has,
	// as far as this node knows.
	MaxFlows, Flows int
	Peer            transport.PeerInfo
	Registered      time.Time
}

// Registry registers listeners, in a table of routes that it is made for. Its methods may
// be called concurrently.
type Registry struct {
	Table *routing.Table

	last uint64 // listener's number; guarded by what locks Table

	mu      sync.Mutex
	near    map[uint64]*Listener   // guarded by mu; those that are no far ones, by number
	changed map[*Listener]struct{} // guarded by mu; since TakeChanged was called last; nil where nobody asks

	came, crossed chan struct{} // guarded by mu; the signals of Changes
}

// Listen registers a listener. Flows opened from now on can reach it, and those that
// wait for a handler. The error is a *flow.Error where it lacks a right.
func (r *Registry) Listen(spec Spec) (*Listener, error) {
	if spec.Name == "" {
		return nil, errors.New("a listener needs a name")
	}
	if spec.MaxFlows < 0 {
		return nil, fmt.Errorf("max flows is %d, want 0 or more", spec.MaxFlows)
	}
	var l *Listener
	err := r.Table.Announce(spec.Name, func(present *routing.Entry, born uint64) (*routing.Entry, error) {
		g := groupOf(present)
		if no := spec.allowed(g != nil && g.heldByAnother(spec.Peer.Name)); no != nil {
			return nil, no
		}
		if g == nil {
			g = newGroup(spec.Name)
		}
		r.last++
		l = &Listener{
			spec: spec, id: r.last, registered: time.Now(), born: born,
			registry: r, group: g, gone: make(chan struct{}),
		}
		g.add(l)
		return g.entry, nil
	})
	if err == nil && !l.far() {
		r.enter(l)
	}
	return l, err
}

// groupOf is the listeners behind an entry; nil for none.
func groupOf(e *routing.Entry) *group {
	if e == nil {
		return nil
	}
	return e.Announced().(*group)
}

// allowed is why nobody may listen so, by the rights that there are now. The name is
// held if a listener of another identity has it.
func (s *Spec) allowed(held bool) *flow.Error {
	if s.Peer.Node != "" {
		return nil // that node has asked
	}
	right := rights.NameUnlessHeld
	if s.Grant != nil {
		has := s.Grant.Rights()
		if !has.Handler {
			return rights.NotAllowed(flow.DeniedRole, "needs the role %v", flow.Handler)
		}
		right = has.ListenAs(s.Name)
	}
	switch {
	case right == rights.NameRefused:
		return rights.NotAllowed(flow.DeniedName, "to listen under the name %s", s.Name)
	case right == rights.NameUnlessHeld && held:
		return rights.NotAllowed(flow.DeniedName, "to listen under the name %s, which is another identity's now", s.Name)
	}
	return nil
}

// List describes the listeners in the order of registration.
func (r *Registry) List() []Info {
	var infos []Info
	for announced := range r.Table.EachAnnounced {
		listeners, busy := announced.(*group).snapshot()
		for i, l := range listeners {
			infos = append(infos, l.info(busy[i]))
		}
	}
	slices.SortFunc(infos, func(a, b Info) int { return cmp.Compare(a.ID, b.ID) })
	return infos
}

// info describes the listener with so many flows.
func (l *Listener) info(flows int) Info {
	return Info{
		ID: l.id, Name: l.spec.Name, Match: matching.Text(l.spec.Match), MaxFlows: l.spec.MaxFlows, Flows: flows,
		Peer: l.spec.Peer, Registered: l.registered,
	}
}

// ID is the listener's number, never used twice while the broker lives.
func (l *Listener) ID() uint64 { return l.id }

// Close takes the listener out. Its offers pass to others of its name, or are
// refused; its flows go on. Closing again does nothing.
func (l *Listener) Close() {
	l.once.Do(func() {
		l.registry.leave(l)
		l.registry.Table.Withdraw(l.group.entry, func() (last bool) { return l.group.remove(l) })
		close(l.gone)
	})
}

// Gone is closed when the listener is registered no more: after Close, or
// because its Sink could not take an offer.
func (l *Listener) Gone() <-chan struct{} { return l.gone }

// far tells whether the listener is at another node.
func (l *Listener) far() bool { return l.spec.Peer.Node != "" }

// mayCross tells whether a flow may go as far as the listener is: one that came from
// another node goes no further.
func (l *Listener) mayCross(v *matching.View) bool { return !l.far() || v.Peer.Node == "" }

func (l *Listener) takes(v *matching.View) bool {
	return l.mayCross(v) && rights.MaySee(l.spec.Grant, l.spec.Name, v) && (l.spec.Match == nil || l.spec.Match.Match(v))
}

func (l *Listener) full() bool {
	return l.held || l.spec.MaxFlows > 0 && l.busy+l.elsewhere >= l.spec.MaxFlows
}

// Flows is how many flows a listener has that were opened here, offers included.
func (l *Listener) Flows() int {
	l.group.mu.Lock()
	defer l.group.mu.Unlock()
	return l.busy
}

// SetLoad tells how many flows a far listener has, by its own node, those from here
// included, and whether nothing is to be offered to it just now.
func (l *Listener) SetLoad(flows int, held bool) { l.group.load(l, flows, held) }

// takenBy tells whether a listener would take the flow by its own match, and may be
// told of it.
func (l *Listener) takenBy(e *routing.Evaluation) bool {
	return l.tellable(e) && e.Matches(l.spec.Match)
}

// tellable tells whether a listener may be told of the flow by the rights that it has
// now.
func (l *Listener) tellable(e *routing.Evaluation) bool {
	return l.mayCross(e.View()) && e.MayTell(l.spec.Grant, l.spec.Name)
}
