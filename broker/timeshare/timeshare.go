// Package timeshare shares processors out for work that strangers' messages cause and that
// may take long: evaluating matches.
package timeshare

import (
	"container/list"
	"context"
	"runtime"
	"sync"
	"time"
)

// Scheduler lets no more of such work be done at once than leaves most of the processors
// to relaying, and has those for whom it is done take turns: however much one peer causes,
// another's waits for no more than one time slice of it. Its methods may be called
// concurrently.
type Scheduler struct {
	mu      sync.Mutex
	free    int                      // guarded by mu; turns that nobody has
	waiting map[string]*list.Element // guarded by mu; of ring, by whom it is done for
	ring    list.List                // guarded by mu; of *line, in the order in which they come next; none is empty
}

// line is who waits for turns on behalf of one peer.
type line struct {
	of    string
	queue []chan struct{} // each closed when it has a turn
}

// slice is how long a turn may last while others wait.
const slice = 2 * time.Millisecond

// New makes a scheduler for the processors there are.
func New() *Scheduler {
	return &Scheduler{free: max(1, runtime.GOMAXPROCS(0)/4), waiting: map[string]*list.Element{}}
}

// Turn is the right to do work now. One goroutine has it at a time.
type Turn struct {
	of    *Scheduler
	who   string
	began time.Time
}

// Take waits for a turn on behalf of who. The error is the cause of the context's
// end.
func (s *Scheduler) Take(ctx context.Context, who string) (*Turn, error) {
	ready := s.queue(who)
	select {
	case <-ready:
		return &Turn{s, who, time.Now()}, nil
	case <-ctx.Done():
	}
	if !s.leave(who, ready) {
		s.pass() // it had come meanwhile
	}
	return nil, context.Cause(ctx)
}

// queue returns what is closed when the turn has come.
func (s *Scheduler) queue(who string) chan struct{} {
	ready := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free > 0 { // then nobody waits
		s.free--
		close(ready)
		return ready
	}
	if element := s.waiting[who]; element != nil {
		of := element.Value.(*line)
		of.queue = append(of.queue, ready)
	} else {
		s.waiting[who] = s.ring.PushBack(&line{who, []chan struct{}{ready}})
	}
	return ready
}

// leave takes out one that waits no more; false if its turn has come.
func (s *Scheduler) leave(who string, ready chan struct{}) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	element := s.waiting[who]
	if element == nil {
		return false
	}
	of := element.Value.(*line)
	for i, other := range of.queue {
		if other == ready {
			of.queue = append(of.queue[:i], of.queue[i+1:]...)
			s.dropEmpty(element)
			return true
		}
	}
	return false
}

// dropEmpty takes out a line in which nobody waits. t.mu is held.
func (s *Scheduler) dropEmpty(element *list.Element) {
	if of := element.Value.(*line); len(of.queue) == 0 {
		s.ring.Remove(element)
		delete(s.waiting, of.of)
	}
}

// pass gives a turn to who comes next.
func (s *Scheduler) pass() {
	s.mu.Lock()
	defer s.mu.Unlock()
	element := s.ring.Front()
	if element == nil {
		s.free++
		return
	}
	of := element.Value.(*line)
	close(of.queue[0])
	of.queue = of.queue[1:]
	s.ring.MoveToBack(element)
	s.dropEmpty(element)
}

// others tells whether anybody waits.
func (s *Scheduler) others() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ring.Len() > 0
}

// Share lets others have the turn, if it has lasted long and anybody waits, and waits
// to have it again. After an error there is no turn any more.
func (t *Turn) Share(ctx context.Context) error {
	if time.Since(t.began) < slice || !t.of.others() {
		return nil
	}
	t.of.pass()
	next, err := t.of.Take(ctx, t.who)
	if err != nil {
		t.of = nil
		return err
	}
	*t = *next
	return nil
}

// End gives the turn back.
func (t *Turn) End() {
	if t.of != nil {
		t.of.pass()
	}
}
