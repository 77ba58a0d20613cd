package broker

import "sync/atomic"

// ByteAccount counts the bytes that one peer has in the gateway: what was read
// from it, from the first byte of a message on, and has not left again. A
// transport charges memory when it takes it and releases it when the last
// message in it has been released. All methods may be called concurrently, but
// Charge by one goroutine at a time: the one that reads from the peer.
type ByteAccount struct {
	budget *budget
	owner  string       // whose turn it is among those who wait
	limit  atomic.Int64 // of this account
	held   atomic.Int64
	waiter *byteWaiter // guarded by budget.mu; nil while nothing waits
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
func (a *ByteAccount) Release(n int64) {
	a.held.Add(-n)
	a.budget.held.Add(-n)
	if a.budget.waiting.Load() > 0 {
		a.budget.serve(a)
	}
}

// Charge charges n bytes before they are read, and waits while there is no room
// for them. Of what the account holds, current bytes belong to the message that
// is being read: when nothing else is held the message is let in whatever the
// budget says, so that every flow moves (the budget is exceeded by one message
// for each peer at the most). NoFree is for a message that is not. Those who wait are served in turn, by owner and
// then by account. It returns false, with nothing charged, when stop is closed
// first.
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
	if a.budget.waiting.Load() > 0 || !a.fits(n) {
		return false
	}
	if a.budget.held.Add(n) <= a.budget.limit.Load() {
		a.held.Add(n)
		return true
	}
	a.budget.held.Add(-n)
	return false
}

// fits tells whether n more bytes are within the account's own limit.
func (a *ByteAccount) fits(n int64) bool { return a.held.Load()+n <= a.limit.Load() }

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

// byteWaiter is an account for which there is no room.
type byteWaiter struct {
	account        *ByteAccount
	bytes, current int64
	granted        chan struct{} // closed once the bytes are charged
}

// admits tells whether w's bytes have room now. budget.mu is held.
func (b *budget) admits(w *byteWaiter) bool {
	if w.account.held.Load() <= w.current {
		return true
	}
	return w.account.fits(w.bytes) && b.held.Load()+w.bytes <= b.limit.Load()
}

// grant charges w's bytes and lets it go on. budget.mu is held.
func (b *budget) grant(w *byteWaiter) {
	w.account.waiter = nil
	b.waiting.Add(-1)
	w.account.Add(w.bytes)
	close(w.granted)
}

func (b *budget) enqueue(w *byteWaiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting.Add(1) // first, so that a Release from now on looks here
	w.account.waiter = w
	b.queue.push(w)
	b.serveQueue()
	if w.account.waiter == w && b.admits(w) {
		b.queue.remove(w)
		b.grant(w)
	}
}

// withdraw takes a waiter out; false if it was granted what it waited for.
func (b *budget) withdraw(w *byteWaiter) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.account.waiter != w {
		return false
	}
	w.account.waiter = nil
	b.waiting.Add(-1)
	b.queue.remove(w)
	return true
}

// serve looks whether a release of that account has made room: for its own
// waiter, or for those whose turn it is.
func (b *budget) serve(a *ByteAccount) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w := a.waiter; w != nil && b.admits(w) {
		b.queue.remove(w)
		b.grant(w)
	}
	b.serveQueue()
}

// mostPassed is how many waiters are looked at for one release, so that a release
// costs little however many wait.
const mostPassed = 64

// serveQueue grants in turn what there is room for. Who waits for its own account
// is passed over. budget.mu is held.
func (b *budget) serveQueue() {
	for passed := 0; passed < mostPassed; {
		w := b.queue.front()
		switch {
		case w == nil:
			return
		case b.admits(w):
			b.queue.remove(w)
			b.grant(w)
			b.queue.pass(w.account.owner)
		case w.account.fits(w.bytes):
			return // it is w's turn, and there is no room for it
		default:
			b.queue.rotate()
			passed++
		}
	}
}

// fairQueue is who waits, by owner. The zero fairQueue is empty.
type fairQueue struct {
	lanes map[string]*lane
	turn  []*lane // in the order in which the owners' turns come
}

type lane struct {
	owner   string
	waiters []*byteWaiter
}

func (q *fairQueue) push(w *byteWaiter) {
	if q.lanes == nil {
		q.lanes = map[string]*lane{}
	}
	l := q.lanes[w.account.owner]
	if l == nil {
		l = &lane{owner: w.account.owner}
		q.lanes[l.owner] = l
		q.turn = append(q.turn, l)
	}
	l.waiters = append(l.waiters, w)
}

// front is whose turn it is; nil where nobody waits.
func (q *fairQueue) front() *byteWaiter {
	if len(q.turn) == 0 {
		return nil
	}
	return q.turn[0].waiters[0]
}

// pass ends an owner's turn, if it is the one whose turn it is.
func (q *fairQueue) pass(owner string) {
	if len(q.turn) > 1 && q.turn[0].owner == owner {
		q.turn = append(q.turn[1:], q.turn[0])
	}
}

// rotate passes the front waiter over: its owner's next one comes first then, when
// the owner's turn comes again.
func (q *fairQueue) rotate() {
	first := q.turn[0]
	first.waiters = append(first.waiters[1:], first.waiters[0])
	q.pass(first.owner)
}

func (q *fairQueue) remove(w *byteWaiter) {
	l := q.lanes[w.account.owner]
	for i, other := range l.waiters {
		if other == w {
			l.waiters = append(l.waiters[:i], l.waiters[i+1:]...)
			break
		}
	}
	if len(l.waiters) > 0 {
		return
	}
	delete(q.lanes, l.owner)
	for i, other := range q.turn {
		if other == l {
			q.turn = append(q.turn[:i], q.turn[i+1:]...)
			return
		}
	}
}
