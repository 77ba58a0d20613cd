package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

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
	spec  ListenerSpec
	id    uint64
	table *routeTable
	group *group
	gone  chan struct{} // closed by Close
	once  sync.Once
	busy  int // guarded by group.mu; flows and offers
}

// group is the listeners of one name. It shares their flows among them, the
// least busy first, and keeps a queue of the requests for which all are full.
type group struct {
	name string

	mu        sync.Mutex
	listeners []*Listener // guarded by mu; in order of registration
	waiting   []*waiter   // guarded by mu; first come, first served
}

type waiter struct {
	view *View
	turn chan *Listener // takes one listener, with a place in it
}

// Listen registers a listener. Flows opened from now on can reach it.
func (b *Broker) Listen(spec ListenerSpec) (*Listener, error) {
	if spec.Name == "" {
		return nil, errors.New("a listener needs a name")
	}
	if spec.MaxFlows < 0 {
		return nil, fmt.Errorf("max flows is %d, want 0 or more", spec.MaxFlows)
	}
	if spec.Grant != nil && !spec.Grant.Rights().Handler {
		return nil, errors.New(notAllowed(DeniedRole, "needs the role %v", flow.Handler).detail)
	}
	t := &b.routes
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.groups, func(g *group) bool { return g.name == spec.Name })
	if i < 0 {
		i = len(t.groups)
		t.groups = append(t.groups, &group{name: spec.Name})
	}
	t.lastListener++
	l := &Listener{spec: spec, id: t.lastListener, table: t, group: t.groups[i], gone: make(chan struct{})}
	l.group.add(l)
	return l, nil
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
		}
		close(l.gone)
	})
}

// Gone is closed when the listener is registered no more: after Close, or
// because its Sink could not take an offer.
func (l *Listener) Gone() <-chan struct{} { return l.gone }

func (l *Listener) takes(v *View) bool {
	return maySee(l.spec.Grant, v) && (l.spec.Match == nil || l.spec.Match.Match(v))
}

func (l *Listener) full() bool { return l.spec.MaxFlows > 0 && l.busy >= l.spec.MaxFlows }

func (g *group) takes(v *View) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.listeners, func(l *Listener) bool { return l.takes(v) })
}

func (g *group) add(l *Listener) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.listeners = append(g.listeners, l)
	g.serve()
}

// remove answers whether the group is empty now.
func (g *group) remove(l *Listener) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.listeners = slices.DeleteFunc(g.listeners, func(other *Listener) bool { return other == l })
	g.serve()
	return len(g.listeners) == 0
}

// release gives back a place in l.
func (g *group) release(l *Listener) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l.busy--
	g.serve()
}

// serve gives the places there are to those who wait, in their order. Who waits
// for listeners that are all gone is given nil. g.mu is held.
func (g *group) serve() {
	g.waiting = slices.DeleteFunc(g.waiting, func(w *waiter) bool {
		l, takes := g.leastBusy(w.view)
		if takes && l == nil {
			return false
		}
		if l != nil {
			l.busy++
		}
		w.turn <- l
		return true
	})
}

// leastBusy answers the listener to take this BOT, nil if all that would are
// full; takes tells whether there is one that would.
func (g *group) leastBusy(v *View) (best *Listener, takes bool) {
	for _, l := range g.listeners {
		if !l.takes(v) {
			continue
		}
		takes = true
		if !l.full() && (best == nil || l.busy < best.busy) {
			best = l
		}
	}
	return best, takes
}

// queue asks for a place; the turn comes at once if there is one.
func (g *group) queue(v *View) *waiter {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := &waiter{view: v, turn: make(chan *Listener, 1)}
	g.waiting = append(g.waiting, w)
	g.serve()
	return w
}

// unqueue takes a waiter out, and back the place it may have been given.
func (g *group) unqueue(w *waiter) {
	g.mu.Lock()
	g.waiting = slices.DeleteFunc(g.waiting, func(other *waiter) bool { return other == w })
	g.mu.Unlock()
	select {
	case l := <-w.turn:
		if l != nil {
			g.release(l)
		}
	default:
	}
}

// groupFactory offers one request to the listeners of a group.
type groupFactory struct {
	group *group
	view  *View
}

// Find offers the request to one listener after another, until one accepts it
// or the flow ends.
func (f groupFactory) Find(ctx context.Context, r *Request) error {
	for {
		r.IfLate(flow.Overloaded, fmt.Sprintf("all listeners named %s have as many flows as they take", f.group.name))
		w := f.group.queue(f.view)
		select {
		case l := <-w.turn:
			if l == nil {
				return &EndError{flow.NoHandler, fmt.Sprintf("the last listener named %s has left", f.group.name)}
			}
			r.IfLate(flow.HandlerTimeout, fmt.Sprintf("listener %s did not accept in time", f.group.name))
			if f.offer(ctx, r, l) {
				return nil
			}
		case <-ctx.Done():
			f.group.unqueue(w)
			return nil
		}
	}
}

// offer makes one listener an offer. It answers true when nothing is left to
// do: the listener, or somebody it told, accepted, or the flow ended.
func (f groupFactory) offer(ctx context.Context, r *Request, l *Listener) bool {
	offer, err := r.OfferTo(l.spec.Peer.Name)
	if err == nil {
		err = l.spec.Sink.Offer(offer)
	}
	if err != nil {
		f.group.release(l)
		if ctx.Err() == nil {
			l.Close() // it can't be told, so is as good as gone
		}
		return ctx.Err() != nil
	}
	select {
	case <-l.gone:
		f.group.release(l)
		return false
	case <-ctx.Done():
	}
	if end, ok := errors.AsType[*EndError](context.Cause(ctx)); ok {
		l.spec.Sink.Withdraw(offer.CID, end.Reason)
		f.group.release(l)
		return true
	}
	r.OnEnd(func() { f.group.release(l) })
	return true
}
