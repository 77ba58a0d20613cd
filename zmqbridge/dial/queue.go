package dial

import (
	"context"
	"sync"
)

// queue is bounded, in entries and in bytes. What was taken out counts until it is
// released. All methods may be called concurrently.
type queue[T any] struct {
	limit Limit

	mu      sync.Mutex
	entries []entry[T]    // guarded by mu
	counts  Limit         // guarded by mu; what counts
	closed  bool          // guarded by mu; nothing enters any more
	changed chan struct{} // guarded by mu; closed at the next change; nil while nobody waits
}

type entry[T any] struct {
	item T
	size int
}

// push puts an item in as soon as there is room, while the context lasts. Once the
// queue is closed it returns ErrClosed.
func (q *queue[T]) push(ctx context.Context, item T, size int) error {
	for {
		done, err := q.tryPush(item, size)
		if done || err != nil {
			return err
		}
		select {
		case <-q.wait(func() bool { return q.room(size) }):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (q *queue[T]) tryPush(item T, size int) (bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false, ErrClosed
	}
	if !q.room(size) {
		return false, nil
	}
	q.put(item, size)
	return true, nil
}

// force puts an item in whatever the limits, also once the queue is closed.
func (q *queue[T]) force(item T, size int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.put(item, size)
}

// put does so. q.mu is held.
func (q *queue[T]) put(item T, size int) {
	q.entries = append(q.entries, entry[T]{item, size})
	q.counts.Messages++
	q.counts.Bytes += size
	q.notify()
}

// room tells whether push need not wait. q.mu is held.
func (q *queue[T]) room(size int) bool {
	return q.closed || q.counts.Messages == 0 ||
		q.counts.Messages < q.limit.Messages && q.counts.Bytes+size <= q.limit.Bytes
}

// take takes entries out: one, and then more while those have less than so many
// bytes together. They are appended to the slice.
func (q *queue[T]) take(to []entry[T], bytes int) []entry[T] {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for n < len(q.entries) && (n == 0 || bytes > 0) {
		bytes -= q.entries[n].size
		n++
	}
	to = append(to, q.entries[:n]...)
	clear(q.entries[:n])
	if q.entries = q.entries[n:]; len(q.entries) == 0 {
		q.entries = nil
	}
	return to
}

// release has entries that were taken count no more.
func (q *queue[T]) release(messages, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.counts.Messages -= messages
	q.counts.Bytes -= bytes
	q.notify()
}

// close has nothing enter any more, and wakes everybody.
func (q *queue[T]) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.notify()
}

// counted is what counts.
func (q *queue[T]) counted() Limit {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.counts
}

// ended tells whether there is nothing to take out, and never will be.
func (q *queue[T]) ended() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed && len(q.entries) == 0
}

// idle is wait for a time when nothing counts.
func (q *queue[T]) idle() <-chan struct{} {
	return q.wait(func() bool { return q.counts.Messages == 0 })
}

// filled is wait until there is something to take out, or never will be.
func (q *queue[T]) filled() <-chan struct{} {
	return q.wait(func() bool { return len(q.entries) > 0 || q.closed })
}

// notify wakes those who wait for a change. q.mu is held.
func (q *queue[T]) notify() {
	if q.changed != nil {
		close(q.changed)
		q.changed = nil
	}
}

// now is closed.
var now = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// wait returns a channel that is closed if the function says so, or else at the next
// change: who waits has to look again. The function is called with q.mu held.
func (q *queue[T]) wait(until func() bool) <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if until() {
		return now
	}
	if q.changed == nil {
		q.changed = make(chan struct{})
	}
	return q.changed
}
