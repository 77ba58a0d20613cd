// Package budget bounds the bytes that are in the broker at once.
package budget

import (
	"container/list"
	"sync"
	"sync/atomic"
)

// Budget bounds the bytes that are in the broker at once. What counts is what is here:
// bytes are charged to the account of the peer that they came from when they are read,
// and released when they leave. Credit that was granted costs nothing. When the budget
// is used up, transports stop reading (Account.Charge): one message of every peer is let
// in all the same, so that every flow moves. The zero Budget has no room; its methods may
// be called concurrently.
type Budget struct {
	limit  atomic.Int64
	held   atomic.Int64
	queued atomic.Int64 // how many wait in the queue; changed under mu

	mu    sync.Mutex
	queue fairQueue // guarded by mu; who waits for room
	apart list.List // guarded by mu; of *waiter, who is at its own account's limit
}

// NewAccount is the account of a peer that belongs to that owner, which may hold limit
// bytes.
func (b *Budget) NewAccount(owner string, limit int64) *Account {
	return &Account{budget: b, owner: owner, limit: limit}
}

// Limit is how many bytes may be held.
func (b *Budget) Limit() int64 { return b.limit.Load() }

// Held is how many bytes are charged at present.
func (b *Budget) Held() int64 { return b.held.Load() }

// Full tells whether no more bytes may come in. Who waits for its own account does not
// make it so.
func (b *Budget) Full() bool { return b.held.Load() >= b.limit.Load() || b.queued.Load() > 0 }

// Resize changes the limit. What is held beyond it leaves in its own time.
func (b *Budget) Resize(limit int64) {
	b.limit.Store(limit)
	b.mu.Lock()
	defer b.mu.Unlock()
	for range b.apart.Len() { // each once, also those who stay
		w := b.apart.Front().Value.(*waiter)
		b.remove(w)
		b.place(w)
	}
	b.serveQueue()
}

// Waiting is how many wait, in the queue and apart.
func (b *Budget) Waiting() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.queued.Load() + int64(b.apart.Len())
}

// enqueue has w wait, unless there is room for it.
func (b *Budget) enqueue(w *waiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w.account.waiter.Store(w) // first, so that a Release from now on looks here
	b.place(w)
	b.serveQueue()
}

// withdraw takes a waiter out; false if it was granted what it waited for.
func (b *Budget) withdraw(w *waiter) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.account.waiter.Load() != w {
		return false
	}
	b.remove(w)
	w.account.waiter.Store(nil)
	b.serveQueue() // it may have been in the way of those behind it
	return true
}

// serve looks whom a release of that account has made room for.
func (b *Budget) serve(a *Account) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w := a.waiter.Load(); w != nil && (w.free() || w.lane == nil) {
		b.remove(w)
		b.place(w)
	}
	b.serveQueue()
}

// place lets w in where it needs no room, and otherwise has it wait where it
// belongs: in the queue, or apart while its own account is at its limit. b.mu is
// held, and serveQueue called after it.
func (b *Budget) place(w *waiter) {
	switch {
	case w.free():
		w.account.Add(w.bytes)
		w.granting()
	case w.account.fits(w.bytes):
		b.queued.Add(1)
		b.queue.push(w)
	default:
		w.at = b.apart.PushBack(w)
	}
}

// remove takes w from where it waits. b.mu is held.
func (b *Budget) remove(w *waiter) {
	if w.lane == nil {
		b.apart.Remove(w.at)
		return
	}
	b.queue.remove(w)
	b.queued.Add(-1)
}

// serveQueue grants in turn what there is room for. It costs as much as is granted:
// whoever it finds at its own limit leaves the queue. b.mu is held.
func (b *Budget) serveQueue() {
	for w := b.queue.front(); w != nil; w = b.queue.front() {
		switch {
		case !w.account.fits(w.bytes):
			b.remove(w)
			w.at = b.apart.PushBack(w)
		case w.account.take(w.bytes):
			b.queue.pass()
			b.remove(w)
			w.granting()
		default:
			return // it is w's turn, and there is no room for it
		}
	}
}
