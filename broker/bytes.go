package broker

import "sync/atomic"

// ByteAccount counts the bytes that one peer has in the gateway: what was read
// from it, from the first byte of a message on, and has not left again. A
// transport charges memory when it takes it and releases it when the last
// message in it has been released. All methods may be called concurrently, but
// Charge by one goroutine at a time: the one that reads from the peer.
type ByteAccount struct {
	budget *budget
	owner  string // whose turn it is among those who wait
	limit  int64  // of this account
	held   atomic.Int64
	waiter atomic.Pointer[byteWaiter] // changed under budget.mu; nil while nothing waits
}

// Held is how many bytes are charged.
func (a *ByteAccount) Held() int64 { return a.held.Load() }

// Add charges n bytes that are here already and cannot be refused, such as a
// copy that the broker makes.
func (a *ByteAccount) Add(n int64) {
	a.held.Add(n)
	a.budget.held.Add(n)
}

// Release gives n charged bytes back, and their room to whoever waits for it.
//
// Who begins to wait shows that first and looks for room then; Release makes room
// first and looks for who waits then. So one of them sees the other.
func (a *ByteAccount) Release(n int64) {
	a.held.Add(-n)
	a.budget.held.Add(-n)
	if a.waiter.Load() != nil || a.budget.queued.Load() > 0 {
		a.budget.serve(a)
	}
}

// Charge charges n bytes before they are read, and waits while there is no room
// for them. Of what the account holds, current bytes belong to the message that
// is being read: when nothing else is held the message is let in whatever the
// budget says, so that every flow moves (the budget is exceeded by one message
// for each peer at the most). NoFree is for a message that is not. Those who wait
// for the budget are served in turn, by owner and then by account; who is at the
// limit of its own account waits apart, in nobody's way. It returns false, with
// nothing charged, when stop is closed first.
func (a *ByteAccount) Charge(n, current int64, stop <-chan struct{}) bool {
	return a.TryCharge(n, current) || a.wait(n, current, stop)
}

// NoFree stands for a message that is let in only where there is room.
const NoFree = -1

// TryCharge is Charge where it need not wait; otherwise it returns false.
func (a *ByteAccount) TryCharge(n, current int64) bool {
	if a.held.Load() <= current {
		a.Add(n)
		return true
	}
	return a.fits(n) && a.budget.queued.Load() == 0 && a.take(n)
}

// fits tells whether n more bytes are within what the account may have in any case:
// its own limit, and the whole budget. Where they are not, only what leaves this
// account makes room for them.
func (a *ByteAccount) fits(n int64) bool {
	return a.held.Load()+n <= min(a.limit, a.budget.limit.Load())
}

// take charges n bytes if the budget has room for them. It never charges what it
// does not keep: others would find no room for that moment.
func (a *ByteAccount) take(n int64) bool {
	for {
		held := a.budget.held.Load()
		if held+n > a.budget.limit.Load() {
			return false
		}
		if a.budget.held.CompareAndSwap(held, held+n) {
			a.held.Add(n)
			return true
		}
	}
}

func (a *ByteAccount) wait(n, current int64, stop <-chan struct{}) bool {
	w := &byteWaiter{account: a, bytes: n, current: current, granted: make(chan struct{})}
	a.budget.enqueue(w)
	select {
	case <-w.granted:
		return true
	case <-stop:
	}
	if a.budget.withdraw(w) {
		return false
	}
	a.Release(n) // was granted meanwhile
	return false
}

// enqueue has w wait, unless there is room for it.
func (b *budget) enqueue(w *byteWaiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w.account.waiter.Store(w) // first, so that a Release from now on looks here
	b.place(w)
	b.serveQueue()
}

// withdraw takes a waiter out; false if it was granted what it waited for.
func (b *budget) withdraw(w *byteWaiter) bool {
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
func (b *budget) serve(a *ByteAccount) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w := a.waiter.Load(); w != nil && (w.free() || w.lane == nil) {
		b.remove(w)
		b.place(w)
	}
	b.serveQueue()
}

// resize changes the limit. What is held beyond it leaves in its own time.
func (b *budget) resize(limit int64) {
	b.limit.Store(limit)
	b.mu.Lock()
	defer b.mu.Unlock()
	for range b.apart.Len() { // each once, also those who stay
		w := b.apart.Front().Value.(*byteWaiter)
		b.remove(w)
		b.place(w)
	}
	b.serveQueue()
}

// place lets w in where it needs no room, and otherwise has it wait where it
// belongs: in the queue, or apart while its own account is at its limit. b.mu is
// held, and serveQueue called after it.
func (b *budget) place(w *byteWaiter) {
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
func (b *budget) remove(w *byteWaiter) {
	if w.lane == nil {
		b.apart.Remove(w.at)
		return
	}
	b.queue.remove(w)
	b.queued.Add(-1)
}

// serveQueue grants in turn what there is room for. It costs as much as is granted:
// whoever it finds at its own limit leaves the queue. b.mu is held.
func (b *budget) serveQueue() {
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

// waitingReaders is how many wait, in the queue and apart.
func (b *budget) waitingReaders() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.queued.Load() + int64(b.apart.Len())
}
