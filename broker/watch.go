package broker

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zioflow/gateway/broker/relay"
)

// Event tells that a flow has entered a phase.
type Event struct {
	// ID is its number, above those of all events before it, also of brokers that were
	// made before this one; 0 for an Observer.
	ID   uint64
	Time time.Time
	// Flow is how the flow was in that moment; Flow.Phase is what it entered. All
	// who are told of the event share it: it must not be changed.
	Flow *relay.Info
	// Missed counts the events before this one that were dropped because the
	// watcher had not taken earlier ones; always 0 for an Observer.
	Missed uint64
}

// Observer is told of every phase of every flow, and misses none.
type Observer interface {
	// Observe is called with the flow locked, in the order of its phases: it must
	// neither block nor call back into the broker. For different flows it may be
	// called concurrently.
	Observe(Event)
}

// maxWatchedLabels is how many bytes of labels may wait for a watcher, besides one
// label.
const maxWatchedLabels = 16 << 20

// Watcher receives events. It never slows a flow: what it has no room for, it
// misses.
type Watcher struct {
	among  *watchers
	events chan Event
	once   sync.Once

	backlog int

	mu     sync.Mutex
	missed uint64 // guarded by mu; since the last event that was taken in
	labels int    // guarded by mu; bytes of labels taken in since nothing waited
	closed bool   // guarded by mu
}

// Backlog is how many events there were when the watch began.
func (w *Watcher) Backlog() int { return w.backlog }

// Events is where the events arrive, in their order. Closed by Close.
func (w *Watcher) Events() <-chan Event { return w.events }

// Close ends the watch. Closing again does nothing.
func (w *Watcher) Close() {
	w.once.Do(func() {
		w.among.remove(w)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.closed = true
		close(w.events)
	})
}

func (w *Watcher) put(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	if len(w.events) == 0 {
		w.labels = 0
	}
	if w.labels > maxWatchedLabels {
		w.missed++
		return
	}
	e.Missed = w.missed
	select {
	case w.events <- e:
		w.missed = 0
		w.labels += len(e.Flow.Label)
	default:
		w.missed++
	}
}

// watchers is a set that costs next to nothing to look through when empty.
type watchers struct {
	mu  sync.Mutex                 // for changing it
	set atomic.Pointer[[]*Watcher] // replaced whole
}

func (ws *watchers) all() []*Watcher {
	if set := ws.set.Load(); set != nil {
		return *set
	}
	return nil
}

func (ws *watchers) add(w *Watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	set := append(slices.Clone(ws.all()), w)
	ws.set.Store(&set)
}

func (ws *watchers) remove(w *Watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	set := slices.DeleteFunc(slices.Clone(ws.all()), func(other *Watcher) bool { return other == w })
	ws.set.Store(&set)
}
