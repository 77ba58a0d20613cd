// Package slots bounds how much goes on at once: in all, and for each key.
package slots

import (
	"context"
	"slices"
	"sync"
)

// Slots are taken and given back. Who waits for one is served in the order of coming,
// unless its own key has none. All methods may be called concurrently.
type Slots struct {
	mu      sync.Mutex
	limit   int            // guarded by mu; in all
	total   int            // guarded by mu; that are taken
	taken   map[string]int // guarded by mu; of them, by key; none is 0
	waiting []*waiter      // guarded by mu; first come, first served
}

// waiter waits for a slot.
type waiter struct {
	key     string
	limit   int           // the key's; 0 for none
	granted chan struct{} // closed when it has a slot
}

// New makes slots of which limit may be taken at once.
func New(limit int) *Slots { return &Slots{limit: limit, taken: map[string]int{}} }

// SetLimit changes how many may be taken in all. Those beyond it are given back in their
// own time.
func (s *Slots) SetLimit(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = n
	s.serve()
}

// bound is how many slots a key may take. s.mu is held.
func (s *Slots) bound(own int) int {
	if own > 0 {
		return min(own, s.limit)
	}
	return s.limit
}

// Taken returns how many slots of a key are taken, and of how many: its own limit, 0 for
// none, or those in all where these are used up.
func (s *Slots) Taken(key string, own int) (taken, limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= s.limit {
		return s.total, s.limit
	}
	return s.taken[key], s.bound(own)
}

// serve gives the slots there are to those who wait. s.mu is held.
func (s *Slots) serve() {
	s.waiting = slices.DeleteFunc(s.waiting, func(w *waiter) bool {
		if s.total >= s.limit || s.taken[w.key] >= s.bound(w.limit) {
			return false
		}
		s.total++
		s.taken[w.key]++
		close(w.granted)
		return true
	})
}

// Acquire takes a slot of a key, whose own limit is 0 for none. It waits for one while the
// context lasts, and calls full first if it has to. It returns false if none has come.
func (s *Slots) Acquire(ctx context.Context, key string, own int, full func()) bool {
	w := &waiter{key: key, limit: own, granted: make(chan struct{})}
	s.mu.Lock()
	s.waiting = append(s.waiting, w)
	s.serve()
	s.mu.Unlock()
	select {
	case <-w.granted:
		return true
	default:
	}
	full()
	select {
	case <-w.granted:
		return true
	case <-ctx.Done():
	}
	s.mu.Lock()
	before := len(s.waiting)
	s.waiting = slices.DeleteFunc(s.waiting, func(other *waiter) bool { return other == w })
	served := len(s.waiting) == before
	s.mu.Unlock()
	if served {
		s.Release(key)
	}
	return false
}

// Release gives back a slot of a key.
func (s *Slots) Release(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.taken[key]--; s.taken[key] == 0 {
		delete(s.taken, key)
	}
	s.serve()
}
