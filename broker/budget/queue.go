package budget

import "container/list"

// waiter is an account for which there is no room.
type waiter struct {
	account        *Account
	bytes, current int64
	granted        chan struct{} // closed once the bytes are charged

	// Guarded by budget.mu.
	lane *lane         // nil while it waits apart
	at   *list.Element // of lane.waiters, or of budget.apart
}

// free tells whether w's message is let in whatever the budget says.
func (w *waiter) free() bool { return w.account.held.Load() <= w.current }

// granting lets w go on, whose bytes are charged. budget.mu is held.
func (w *waiter) granting() {
	w.account.waiter.Store(nil)
	close(w.granted)
}

// fairQueue is who waits, by owner: owners take turns, and so do the accounts of one
// owner. Everything costs the same however many wait. The zero fairQueue is empty.
type fairQueue struct {
	lanes map[string]*lane
	turns list.List // of *lane, in the order in which the owners' turns come
}

// lane is who waits of one owner: at least one.
type lane struct {
	owner   string
	waiters list.List // of *waiter
	turn    *list.Element
}

func (q *fairQueue) push(w *waiter) {
	if q.lanes == nil {
		q.lanes = map[string]*lane{}
	}
	l := q.lanes[w.account.owner]
	if l == nil {
		l = &lane{owner: w.account.owner}
		l.turn = q.turns.PushBack(l)
		q.lanes[l.owner] = l
	}
	w.lane, w.at = l, l.waiters.PushBack(w)
}

// front is whose turn it is; nil where nobody waits.
func (q *fairQueue) front() *waiter {
	first := q.turns.Front()
	if first == nil {
		return nil
	}
	return first.Value.(*lane).waiters.Front().Value.(*waiter)
}

// pass ends the turn of the owner whose turn it is. Somebody waits.
func (q *fairQueue) pass() { q.turns.MoveToBack(q.turns.Front()) }

func (q *fairQueue) remove(w *waiter) {
	l := w.lane
	l.waiters.Remove(w.at)
	w.lane, w.at = nil, nil
	if l.waiters.Len() == 0 {
		q.turns.Remove(l.turn)
		delete(q.lanes, l.owner)
	}
}
