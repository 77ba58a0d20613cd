package front

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/zioflow/gateway/gateway/config"
	"github.com/zioflow/gateway/server/admin"
)

// kind is a kind of front.
type kind struct {
	// open binds the addresses and serves them; nil, without error, where there are none.
	open func(h *Host, c *config.Config) (Front, error)
	// last is closed when all others have been, so that operators see them go.
	last bool
}

// kinds are the fronts, in the order in which they are opened: the one place in which a new
// one is registered.
func kinds() []kind {
	return []kind{{open: openZMQ}, {open: openGRPC}, {open: openCluster}, {open: openHTTP, last: true}}
}

// Set is the fronts of a gateway; it begins empty. Its methods may be called concurrently.
type Set struct {
	draining atomic.Bool // changed with mu held
	mu       sync.Mutex
	fronts   []opened         // guarded by mu
	bound    []admin.Endpoint // guarded by mu
}

// opened is a front that is served.
type opened struct {
	Front
	last bool // see kind
}

// Open opens the fronts that have addresses. After an error those stay that were opened.
func (s *Set) Open(h *Host, c *config.Config) error {
	for _, k := range kinds() {
		front, err := k.open(h, c)
		if err != nil {
			return withOccupant(err)
		}
		if front != nil {
			s.add(opened{front, k.last})
		}
	}
	return nil
}

func (s *Set) add(f opened) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fronts = append(s.fronts, f)
	s.bound = append(s.bound, f.Endpoints()...)
	if s.draining.Load() { // an operator was quick
		f.Drain()
	}
}

// Endpoints are what all have bound.
func (s *Set) Endpoints() []admin.Endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.bound)
}

// Draining tells whether new flows are refused.
func (s *Set) Draining() bool { return s.draining.Load() }

// Drain has all tell that new flows are refused.
func (s *Set) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining.Store(true)
	for _, f := range s.fronts {
		f.Drain()
	}
}

// Undrain has all tell that new flows are taken.
func (s *Set) Undrain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.fronts {
		f.Undrain()
	}
	s.draining.Store(false)
}

// Ready has all tell whether new peers may come, but for a drain. To tell the same again
// costs next to nothing.
func (s *Set) Ready(ready bool) {
	for _, f := range s.all() {
		f.Ready(ready)
	}
}

// Prepare returns what puts to use of a valid configuration what can change. It is a
// reload.Part.
func (s *Set) Prepare(next *config.Config) (apply func() []string, err error) {
	return func() []string {
		for _, f := range s.all() {
			f.Reload(next)
		}
		return nil
	}, nil
}

func (s *Set) all() []opened {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.fronts)
}

// Close closes all but the last, or the last, while ctx lasts: at once, as each waits for
// its slowest peer.
func (s *Set) Close(ctx context.Context, last bool) error {
	var closing errgroup.Group
	for _, f := range s.all() {
		if f.last == last {
			closing.Go(func() error { return f.Close(ctx) })
		}
	}
	return closing.Wait()
}
