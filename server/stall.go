package server

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zioflow/gateway/server/grpcgo"
)

// stall watches over what waits to be taken by a stream: one that takes no byte of it
// for the timeout, or for up to a quarter longer, is given up. A stream that takes
// its time goes on for ever. Its methods may be called concurrently.
type stall struct {
	ctx     context.Context // the stream's
	timeout time.Duration
	waits   func() bool  // tells whether something is there to be taken
	moved   func() int64 // changes whenever the stream takes something
	tell    func()       // told, with no lock held, before the stream is aborted

	watching atomic.Bool // so that the timer runs; changed with mu held

	mu      sync.Mutex
	timer   *time.Timer // guarded by mu; nil before the first watch
	seen    int64       // guarded by mu; what moved returned last
	looks   int         // guarded by mu; how often that was the same
	over    bool        // guarded by mu; there is nothing to watch any more
	aborted bool        // guarded by mu
}

// stallLooks is how often a stream is looked at in a timeout. It takes so many looks
// to give one up, and not only the time, since it may be the gateway that was
// suspended.
const stallLooks = 4

// watch has the stream looked after for as long as something waits. It costs next to
// nothing where that is so already.
func (s *stall) watch() {
	if s.watching.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over && !s.watching.Load() {
		s.watching.Store(true)
		s.seen, s.looks = s.moved(), 0
		s.look()
	}
}

// look has check called when it is time for that. s.mu is held.
func (s *stall) look() {
	if s.timer == nil {
		s.timer = time.AfterFunc(s.timeout/stallLooks, s.check)
	} else {
		s.timer.Reset(s.timeout / stallLooks)
	}
}

// finish ends the watch for good: the stream has ended.
func (s *stall) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.timer != nil {
		s.timer.Stop()
	}
}

// check is called by the timer.
func (s *stall) check() {
	if s.stands() {
		s.tell()
		_ = grpcgo.Abort(s.ctx) // it is gRPC's, or a test fails
	}
}

// stands tells whether the stream has to be given up. If not, it will be looked at
// again later, should something wait.
func (s *stall) stands() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	moved := s.moved()
	switch {
	case s.over, disconnected(s.ctx):
		s.over = true // also of what gRPC has lost with the connection
		return false
	case moved != s.seen:
		s.seen, s.looks = moved, 0
	case !s.waits():
		s.watching.Store(false)
		if !s.waits() { // nor has anything come that found it watching
			return false
		}
		s.watching.Store(true)
	default:
		s.looks++
	}
	if s.looks < stallLooks {
		s.look()
		return false
	}
	s.over, s.aborted = true, true
	return true
}

// gaveUp tells whether the stream was given up.
func (s *stall) gaveUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.aborted
}

// detail says in words what became of a stream that was given up.
func (s *stall) detail() string { return "did not read for " + s.timeout.String() }
