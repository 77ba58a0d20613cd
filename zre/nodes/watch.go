package nodes

import (
	"sync"
	"time"
)

// Kind is what has become of a node.
type Kind string

// The kinds.
const (
	Entered Kind = "enter"
	Changed Kind = "changed"
	Left    Kind = "exit"
)

// Event is something that has become of a node.
type Event struct {
	Time time.Time
	Kind Kind
	// Node is how it is, or how it was when it left.
	Node *Info
	// Was is the name that it had before, of Changed.
	Was string
	// Reason is why it left, in one word.
	Reason string
	// Missed counts the events before this one that were dropped because the watcher
	// had not taken earlier ones.
	Missed uint64
}

// maxWatchedBytes is how many bytes of headers may wait for a watcher, besides those of
// one node.
const maxWatchedBytes = 4 << 20

// Watcher receives events. What it has no room for, it misses. Its methods may be
// called concurrently.
type Watcher struct {
	table  *Table
	events chan Event
	once   sync.Once

	// The table's mutex guards these.
	missed uint64 // since the last event that was taken in
	bytes  int    // of headers taken in since nothing waited
}

// Watch begins to watch all nodes, with room for that many events. What is known already
// is not told: who wants that too calls After once the watch has begun.
func (t *Table) Watch(room int) *Watcher {
	w := &Watcher{table: t, events: make(chan Event, max(1, room))}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watchers[w] = true
	return w
}

// Events is where the events arrive, in their order. Closed by Close.
func (w *Watcher) Events() <-chan Event { return w.events }

// Missed is how many events were dropped after the last one that was taken in, and
// begins counting anew. It is 0 while events wait: those come first.
func (w *Watcher) Missed() uint64 {
	w.table.mu.Lock()
	defer w.table.mu.Unlock()
	if len(w.events) > 0 {
		return 0
	}
	missed := w.missed
	w.missed = 0
	return missed
}

// Close ends the watch. Closing again does nothing.
func (w *Watcher) Close() {
	w.once.Do(func() {
		w.table.mu.Lock()
		defer w.table.mu.Unlock()
		delete(w.table.watchers, w)
		close(w.events)
	})
}

// put takes in an event, if there is room. The table's mutex is held.
func (w *Watcher) put(e Event) {
	if len(w.events) == 0 {
		w.bytes = 0
	}
	if w.bytes > maxWatchedBytes {
		w.missed++
		return
	}
	e.Missed = w.missed
	select {
	case w.events <- e:
		w.missed = 0
		w.bytes += e.Node.size()
	default:
		w.missed++
	}
}

// size is about how much memory the node's texts take, in bytes.
func (n *Info) size() int {
	size := len(n.Name) + len(n.Endpoint)
	for key, value := range n.Headers {
		size += len(key) + len(value)
	}
	return size
}
