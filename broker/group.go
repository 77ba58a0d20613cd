package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/zioflow/gateway/broker/flow"
)

// group is the listeners of one name. It shares their flows among them, the
// least busy first, and keeps a queue of the requests for which all are full.
type group struct {
	name string
	way  *way

	mu        sync.Mutex
	listeners []*Listener // guarded by mu; in order of registration, replaced whole
	waiting   []*waiter   // guarded by mu; first come, first served
}

// newGroup makes a group with the route that leads to it.
func newGroup(name string) *group {
	g := &group{name: name}
	g.way = &way{
		Route:  Route{Name: name, Match: groupMatch{g}, Factory: ToListeners{Name: name, group: g}},
		origin: Announced, tally: new(tally), group: g,
	}
	return g
}

// waiter is a request that waits for a place in one of the listeners.
type waiter struct {
	view *View
	any  bool           // whatever the listeners' matches say
	turn chan *Listener // takes one listener, with a place in it

	taking map[*Listener]bool // guarded by group.mu; what their matches have said
}

// takenBy tells whether a listener would take the request. group.mu is held.
func (w *waiter) takenBy(l *Listener) bool {
	if w.any || l.spec.Match == nil {
		return true
	}
	takes, known := w.taking[l]
	if !known {
		takes = l.takes(w.view)
		w.taking[l] = takes
	}
	return takes
}

// groupMatch takes what one of the listeners takes.
type groupMatch struct{ *group }

// Match implements Match.
func (m groupMatch) Match(v *View) bool {
	listeners, _ := m.snapshot()
	return slices.ContainsFunc(listeners, func(l *Listener) bool { return l.takes(v) })
}

// String is an expression that is true where one of the listeners' is.
func (m groupMatch) String() string {
	listeners, _ := m.snapshot()
	var texts []string
	for _, l := range listeners {
		text := matchText(l.spec.Match)
		if text == "" {
			return ""
		}
		if !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	if len(texts) == 1 {
		return texts[0]
	}
	return "(" + strings.Join(texts, ") || (") + ")"
}

// snapshot answers the listeners, and how many flows each has. The slice of
// listeners is not to be changed.
func (g *group) snapshot() (listeners []*Listener, busy []int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	busy = make([]int, len(g.listeners))
	for i, l := range g.listeners {
		busy[i] = l.busy
	}
	return g.listeners, busy
}

func (g *group) add(l *Listener) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.listeners = append(slices.Clone(g.listeners), l)
	g.serve()
}

// remove answers whether the group is empty now.
func (g *group) remove(l *Listener) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.listeners = slices.DeleteFunc(slices.Clone(g.listeners), func(other *Listener) bool { return other == l })
	for _, w := range g.waiting {
		delete(w.taking, l)
	}
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
		l, takes := g.leastBusy(w)
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
func (g *group) leastBusy(w *waiter) (best *Listener, takes bool) {
	for _, l := range g.listeners {
		if !w.takenBy(l) {
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
func (g *group) queue(v *View, anyMatch bool) *waiter {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := &waiter{view: v, any: anyMatch, turn: make(chan *Listener, 1), taking: map[*Listener]bool{}}
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

// ToListeners is the factory that offers flows to the listeners of a name,
// whatever their own match says, the least busy first. If there are none, the
// flow ends with NoHandler at once; if all are full, it waits for a place.
type ToListeners struct {
	Name string

	group *group // of the listeners' own route, in which their matches count
}

// Find implements Factory: it offers the request to one listener after another,
// until one accepts it or the flow ends.
func (t ToListeners) Find(ctx context.Context, r *Request) error {
	g := t.group
	if g == nil {
		if g = r.flow.broker.routes.groupNamed(t.Name); g == nil {
			return &EndError{flow.NoHandler, fmt.Sprintf("no listener named %s is registered", t.Name)}
		}
	}
	for {
		r.IfLate(flow.Overloaded, fmt.Sprintf("all listeners named %s have as many flows as they take", g.name))
		w := g.queue(r.view, t.group == nil)
		select {
		case l := <-w.turn:
			if l == nil {
				return &EndError{flow.NoHandler, fmt.Sprintf("the last listener named %s has left", g.name)}
			}
			r.IfLate(flow.HandlerTimeout, fmt.Sprintf("listener %s did not accept in time", g.name))
			if g.offer(ctx, r, l) {
				return nil
			}
		case <-ctx.Done():
			g.unqueue(w)
			return nil
		}
	}
}

// offer makes one listener an offer. It answers true when nothing is left to
// do: the listener, or somebody it told, accepted, or the flow ended.
func (g *group) offer(ctx context.Context, r *Request, l *Listener) bool {
	offer, err := r.Offer()
	if err == nil {
		err = l.spec.Sink.Offer(offer)
	}
	if err != nil {
		g.release(l)
		if ctx.Err() == nil {
			l.Close() // it can't be told, so is as good as gone
		}
		return ctx.Err() != nil
	}
	select {
	case <-l.gone:
		g.release(l)
		return false
	case <-ctx.Done():
	}
	if end, ok := errors.AsType[*EndError](context.Cause(ctx)); ok {
		l.spec.Sink.Withdraw(offer.CID, end.Reason)
		g.release(l)
		return true
	}
	r.OnEnd(func(flow.Reason) { g.release(l) })
	return true
}
