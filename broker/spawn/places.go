package spawn

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
)

// places are how many commands may run: in all, and for each route.
type places struct {
	mu      sync.Mutex
	limit   int            // guarded by mu; in all
	total   int            // guarded by mu; that are taken
	running map[string]int // guarded by mu; of them, by route; none is 0
	waiting []*waiter      // guarded by mu; first come, first served
}

// waiter is a flow that waits for a place.
type waiter struct {
	route string
	limit int           // the route's; 0 for none
	turn  chan struct{} // closed when it has a place
}

func (p *places) setLimit(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = n
	p.serve()
}

// bound is how many commands a route may run. p.mu is held.
func (p *places) bound(own int) int {
	if own > 0 {
		return min(own, p.limit)
	}
	return p.limit
}

// taken answers how many places of a route are taken, and of how many: its own,
// or those in all where these are fewer.
func (p *places) taken(route string, own int) (running, limit int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.total >= p.limit {
		return p.total, p.limit
	}
	return p.running[route], p.bound(own)
}

// serve gives the places there are to those who wait. p.mu is held.
func (p *places) serve() {
	p.waiting = slices.DeleteFunc(p.waiting, func(w *waiter) bool {
		if p.total >= p.limit || p.running[w.route] >= p.bound(w.limit) {
			return false
		}
		p.total++
		if p.running == nil {
			p.running = map[string]int{}
		}
		p.running[w.route]++
		close(w.turn)
		return true
	})
}

// take waits for a place while the request is pending. It answers false if none
// has come.
func (p *places) take(ctx context.Context, route string, own int, r *broker.Request) bool {
	w := &waiter{route: route, limit: own, turn: make(chan struct{})}
	p.mu.Lock()
	p.waiting = append(p.waiting, w)
	p.serve()
	p.mu.Unlock()
	select {
	case <-w.turn:
		return true
	default:
	}
	r.IfLate(flow.Overloaded, fmt.Sprintf("route %s runs as many commands as it may", route))
	select {
	case <-w.turn:
		return true
	case <-ctx.Done():
	}
	p.mu.Lock()
	before := len(p.waiting)
	p.waiting = slices.DeleteFunc(p.waiting, func(other *waiter) bool { return other == w })
	served := len(p.waiting) == before
	p.mu.Unlock()
	if served {
		p.free(route)
	}
	return false
}

// free gives a place back.
func (p *places) free(route string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total--
	if p.running[route]--; p.running[route] == 0 {
		delete(p.running, route)
	}
	p.serve()
}
