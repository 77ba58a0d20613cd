package budget

import "sync/atomic"

// Account counts the bytes that one peer has in the gateway: what was read
// from it, from the first byte of a message on, and has not left again. A
// transport charges memory when it takes it and releases it when the last
// message in it has been released. All methods may be called concurrently, but
// Charge by one goroutine at a time: the one that reads from the peer.
type Account struct {
	budget *Budget
	owner  string // whose turn it is among those who wait
	limit  int64  // of this account
	held   atomic.Int64
	waiter atomic.Pointer[waiter] // changed under budget.mu; nil while nothing waits
}

// Held is how many bytes are charged.
func (a *Account) Held() int64 { return a.held.Load() }

// Add charges n bytes that are here already and cannot be refused, such as a
// copy that the broker makes.
func (a *Account) Add(n int64) {
	a.held.Add(n)
	a.budget.held.Add(n)
}

// Release gives n charged bytes back, and their room to whoever waits for it.
//
// Who begins to wait shows that first and looks for room then; Release makes room
// first and looks for who waits then. So one of them sees the other.
func (a *Account) Release(n int64) {
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
func (a *Account) Charge(n, current int64, stop <-chan struct{}) bool {
	return a.TryCharge(n, current) || a.wait(n, current, stop)
}

// NoFree stands for a message that is let in only where there is room.
const NoFree = -1

// TryCharge is Charge where it need not wait; otherwise it returns false.
func (a *Account) TryCharge(n, current int64) bool {
	if a.held.Load() <= current {
		a.Add(n)
		return true
	}
	return a.fits(n) && a.budget.queued.Load() == 0 && a.take(n)
}

// fits tells whether n more bytes are within what the account may have in any case:
// its own limit, and the whole budget. Where they are not, only what leaves this
// account makes room for them.
func (a *Account) fits(n int64) bool {
	return a.held.Load()+n <= min(a.limit, a.budget.limit.Load())
}

// take charges n bytes if the budget has room for them. It never charges what it
// does not keep: others would find no room for that moment.
func (a *Account) take(n int64) bool {
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

func (a *Account) wait(n, current int64, stop <-chan struct{}) bool {
	w := &waiter{account: a, bytes: n, current: current, granted: make(chan struct{})}
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
