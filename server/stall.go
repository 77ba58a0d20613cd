package server

import (
	"context"
	"sync"
	"time"
)

// stall watches over what is left of a stream when there is nothing more to come:
// a stream that takes nothing of it for the timeout, or for up to twice as long, is
// aborted. Otherwise a peer that does not read would keep the stream, and the
// messages on their way to it, for as long as it likes. Its methods may be called
// concurrently.
type stall struct {
	ctx     context.Context // the stream's
	timeout time.Duration
	moved   func() int64 // changes whenever the stream takes something
	tell    func()       // told when the stream is given up

	mu      sync.Mutex
	timer   *time.Timer // guarded by mu; nil before begin
	seen    int64       // guarded by mu; what moved answered last
	over    bool        // guarded by mu; nothing is left to be taken
	aborted bool        // guarded by mu
}

// begin starts the watch: nothing more comes. Beginning again does nothing.
func (s *stall) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over && s.timer == nil {
		s.seen = s.moved()
		s.timer = time.AfterFunc(s.timeout, s.check)
	}
}

// finish ends the watch for good: all was taken, or the stream is no more.
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
		_ = abort(s.ctx) // it is gRPC's, or the test of abort fails
	}
}

// stands tells whether the stream has to be given up, or has another look at it
// later.
func (s *stall) stands() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	moved := s.moved()
	switch {
	case s.over:
		return false
	case moved != s.seen:
		s.seen = moved
		s.timer.Reset(s.timeout)
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
func (s *stall) detail() string {
	return "did not read for " + s.timeout.String() + " after the end of its flow"
}
