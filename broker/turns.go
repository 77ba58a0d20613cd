package broker

import (
	"container/list"
	"context"
	"runtime"
	"sync"
	"time"
)

// turns are for work that strangers' messages cause and that may take long:
// evaluating matches. No more of it is done at once than leaves most of the
// processors to relaying, and those for whom it is done take turns: however much one
// peer causes, another's waits for no more than one slice of it.
type turns struct {
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

func newTurns() *turns {
	return &turns{free: max(1, runtime.GOMAXPROCS(0)/4), waiting: map[string]*list.Element{}}
}

// turn is the right to do work now. One goroutine has it at a time.
type turn struct {
	of    *turns
	who   string
	began time.Time
}

// take waits for a turn on behalf of who. The error is the cause of the context's
// end.
func (t *turns) take(ctx context.Context, who string) (*turn, error) {
	ready := t.queue(who)
	select {
	case <-ready:
		return &turn{t, who, time.Now()}, nil
	case <-ctx.Done():
	}
	if !t.leave(who, ready) {
		t.pass() // it had come meanwhile
	}
	return nil, context.Cause(ctx)
}

// queue answers what is closed when the turn has come.
func (t *turns) queue(who string) chan struct{} {
	ready := make(chan struct{})
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free > 0 { // then nobody waits
		t.free--
		close(ready)
		return ready
	}
	if element := t.waiting[who]; element != nil {
		of := element.Value.(*line)
		of.queue = append(of.queue, ready)
	} else {
		t.waiting[who] = t.ring.PushBack(&line{who, []chan struct{}{ready}})
	}
	return ready
}

// leave takes out one that waits no more; false if its turn has come.
func (t *turns) leave(who string, ready chan struct{}) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	element := t.waiting[who]
	if element == nil {
		return false
	}
	of := element.Value.(*line)
	for i, other := range of.queue {
		if other == ready {
			of.queue = append(of.queue[:i], of.queue[i+1:]...)
			t.dropEmpty(element)
			return true
		}
	}
	return false
}

// dropEmpty takes out a line in which nobody waits. t.mu is held.
func (t *turns) dropEmpty(element *list.Element) {
	if of := element.Value.(*line); len(of.queue) == 0 {
		t.ring.Remove(element)
		delete(t.waiting, of.of)
	}
}

// pass gives a turn to who comes next.
func (t *turns) pass() {
	t.mu.Lock()
	defer t.mu.Unlock()
	element := t.ring.Front()
	if element == nil {
		t.free++
		return
	}
	of := element.Value.(*line)
	close(of.queue[0])
	of.queue = of.queue[1:]
	t.ring.MoveToBack(element)
	t.dropEmpty(element)
}

// others tells whether anybody waits.
func (t *turns) others() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ring.Len() > 0
}

// share lets others have the turn, if it has lasted long and anybody waits, and waits
// to have it again. After an error there is no turn any more.
func (t *turn) share(ctx context.Context) error {
	if time.Since(t.began) < slice || !t.of.others() {
		return nil
	}
	t.of.pass()
	next, err := t.of.take(ctx, t.who)
	if err != nil {
		t.of = nil
		return err
	}
	*t = *next
	return nil
}

// end gives the turn back.
func (t *turn) end() {
	if t.of != nil {
		t.of.pass()
	}
}
