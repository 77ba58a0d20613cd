package broker

import (
	"cmp"
	"container/list"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/zioflow/gateway/broker/flow"
)

// ListenerSpec is what a listener announces.
type ListenerSpec struct {
	// Name is shared by the listeners that share their flows.
	Name string
	// Match selects the flows; nil takes every one.
	Match Match
	// MaxFlows bounds the listener's flows, offers included; 0 for no bound.
	MaxFlows int
	// Sink is told of offers.
	Sink ListenerSink
	// Peer is who listens. Where it has a Name, its offers are for peers of that
	// name alone.
	Peer PeerInfo
	// Grant says what it may be offered; nil for everything.
	Grant Grant
}

// ListenerSink takes what a listener is told. Its methods do not block; they
// may be called concurrently.
type ListenerSink interface {
	// Offer tells of a request. An error says that the listener can't be told.
	Offer(Offer) error
	// Withdraw tells that an offer has become void, and why.
	Withdraw(cid uint64, reason flow.Reason)
}

// Listener is a process that handles flows, for as long as it is registered.
type Listener struct {
	spec       ListenerSpec
	id         uint64
	registered time.Time
	table      *routeTable
	group      *group
	gone       chan struct{} // closed by Close
	once       sync.Once
	born       uint64 // its place among routes and listeners by age

	busy      int       // guarded by group.mu; flows and offers
	waiting   list.List // guarded by group.mu; of *waiter, first come, first served
	left      bool      // guarded by group.mu; is registered no more
	lapses    int       // guarded by group.mu; offers in a row that it let lapse
	lateUntil time.Time // guarded by group.mu; until then it comes last
}

// ListenerInfo describes a listener at one ledger.Moment.
type ListenerInfo struct {
	ID   uint64
	Name string
	// Match is the text of its expression; empty if it takes every flow.
	Match string
	// MaxFlows bounds Flows, offers included; 0 for no bound.
	MaxFlows, Flows int
	Peer            PeerInfo
	Registered      time.Time
}

// Listen registers a listener. Flows opened from now on can reach it, and those that
// wait for a handler. The error is a *flow.Error where it lacks a right.
func (b *Broker) Listen(spec ListenerSpec) (*Listener, error) {
	if spec.Name == "" {
		return nil, errors.New("a listener needs a name")
	}
	if spec.MaxFlows < 0 {
		return nil, fmt.Errorf("max flows is %d, want 0 or more", spec.MaxFlows)
	}
	t := &b.routes
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.groups, func(g *group) bool { return g.name == spec.Name })
	if no := spec.allowed(i >= 0 && t.groups[i].heldByAnother(spec.Peer.Name)); no != nil {
		b.log.Warn("listener refused", "peer", spec.Peer, "name", spec.Name, "detail", no.Detail, "cause", string(no.Denied))
		b.denied(spec.Peer, no.Denied)
		return nil, no
	}
	if i < 0 {
		i = len(t.groups)
		t.groups = append(t.groups, newGroup(spec.Name))
	}
	t.lastListener++
	t.born++
	l := &Listener{
		spec: spec, id: t.lastListener, registered: time.Now(), born: t.born,
		table: t, group: t.groups[i], gone: make(chan struct{}),
	}
	l.group.add(l)
	t.arrange()
	return l, nil
}

// allowed is why nobody may listen so, by the rights that there are now. The name is
// held if a listener of another identity has it.
func (s *ListenerSpec) allowed(held bool) *flow.Error {
	right := NameUnlessHeld
	if s.Grant != nil {
		rights := s.Grant.Rights()
		if !rights.Handler {
			return notAllowed(flow.DeniedRole, "needs the role %v", flow.Handler)
		}
		right = rights.listenAs(s.Name)
	}
	switch {
	case right == NameRefused:
		return notAllowed(flow.DeniedName, "to listen under the name %s", s.Name)
	case right == NameUnlessHeld && held:
		return notAllowed(flow.DeniedName, "to listen under the name %s, which is another identity's now", s.Name)
	}
	return nil
}

// Listeners describes the listeners in the order of registration.
func (b *Broker) Listeners() []ListenerInfo {
	t := &b.routes
	t.mu.Lock()
	groups := slices.Clone(t.groups)
	t.mu.Unlock()
	var infos []ListenerInfo
	for _, g := range groups {
		listeners, busy := g.snapshot()
		for i, l := range listeners {
			infos = append(infos, ListenerInfo{
				ID: l.id, Name: l.spec.Name, Match: matchText(l.spec.Match), MaxFlows: l.spec.MaxFlows, Flows: busy[i],
				Peer: l.spec.Peer, Registered: l.registered,
			})
		}
	}
	slices.SortFunc(infos, func(a, b ListenerInfo) int { return cmp.Compare(a.ID, b.ID) })
	return infos
}

// ID is the listener's number, never used twice while the broker lives.
func (l *Listener) ID() uint64 { return l.id }

// Close takes the listener out. Its offers pass to others of its name, or are
// refused; its flows go on. Closing again does nothing.
func (l *Listener) Close() {
	l.once.Do(func() {
		l.table.mu.Lock()
		defer l.table.mu.Unlock()
		if l.group.remove(l) {
			l.table.groups = slices.DeleteFunc(l.table.groups, func(g *group) bool { return g == l.group })
			l.table.arrange()
		}
		close(l.gone)
	})
}

// Gone is closed when the listener is registered no more: after Close, or
// because its Sink could not take an offer.
func (l *Listener) Gone() <-chan struct{} { return l.gone }

func (l *Listener) takes(v *View) bool {
	return maySee(l.spec.Grant, l.spec.Name, v) && (l.spec.Match == nil || l.spec.Match.Match(v))
}

func (l *Listener) full() bool { return l.spec.MaxFlows > 0 && l.busy >= l.spec.MaxFlows }

// matchText is a match as operators read it; empty for one that takes every BOT.
func matchText(m Match) string {
	if text, ok := m.(fmt.Stringer); ok {
		return text.String()
	}
	return ""
}
