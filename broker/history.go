package broker

import (
	"fmt"
	"sync"
	"time"
)

// maxRemembered is how many events are remembered for watchers that were interrupted.
const maxRemembered = 4096

// EventError says that a watch cannot go on after an event.
type EventError struct {
	// After is the event, Oldest and Latest those that are remembered; 0 for none.
	After, Oldest, Latest uint64
}

func (e *EventError) Error() string {
	switch {
	case e.Latest == 0 || e.After < e.Oldest:
		return fmt.Sprintf("what came right after event %d is remembered no more", e.After)
	default:
		return fmt.Sprintf("there has been no event %d: the latest is %d", e.After, e.Latest)
	}
}

// history is the latest events. They are numbered from when it is made, in microseconds, so
// that those of an earlier process are not taken for its own.
type history struct {
	watchers watchers

	mu     sync.Mutex
	used   bool    // guarded by mu; somebody has watched, and may come back
	last   uint64  // guarded by mu; number of the latest event
	events []Event // guarded by mu; the oldest first
	labels int     // guarded by mu; bytes in them
}

func newHistory() history { return history{last: uint64(time.Now().UnixMicro())} }

// watched tells whether events have to be published.
func (h *history) watched() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.used
}

// begin has a watcher receive what comes.
func (h *history) begin(w *Watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.used = true
	h.watchers.add(w)
}

// resume has it receive what came after an event first, or says why that cannot be.
func (h *history) resume(w *Watcher, room int, after uint64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	oldest := h.last + 1 - uint64(len(h.events)) // the next one, if there are none
	if after+1 < oldest || after > h.last {
		e := &EventError{After: after, Latest: h.last, Oldest: oldest}
		w.events = make(chan Event)
		return e
	}
	missed := h.events[after+1-oldest:]
	w.events, w.backlog = make(chan Event, room+len(missed)), len(missed)
	for _, e := range missed {
		w.put(e)
	}
	h.used = true
	h.watchers.add(w)
	return nil
}

// publish numbers an event, remembers it and passes it on.
func (h *history) publish(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.used {
		return
	}
	h.last++
	e.ID = h.last
	h.events = append(h.events, e)
	h.labels += len(e.Flow.Label)
	for len(h.events) > maxRemembered || h.labels > maxWatchedLabels {
		h.labels -= len(h.events[0].Flow.Label)
		h.events[0] = Event{}
		h.events = h.events[1:]
	}
	for _, w := range h.watchers.all() {
		w.put(e)
	}
}
