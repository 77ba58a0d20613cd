package zioflow

import "sync"

// purse holds the credit that a giver was paid. One at a time may wait for
// paid; all else may be called concurrently.
type purse struct {
	paid chan struct{} // holds a token when credit has come

	mu     sync.Mutex
	credit int64 // guarded by mu
}

func newPurse() purse { return purse{paid: make(chan struct{}, 1)} }

func (p *purse) pay(n int64) {
	p.mu.Lock()
	p.credit += n
	p.mu.Unlock()
	select {
	case p.paid <- struct{}{}:
	default:
	}
}

// spend takes the credit for one DAT; false if there is none.
func (p *purse) spend() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.credit < 1 {
		return false
	}
	p.credit--
	return true
}

// till counts the credit that a taker has to hand out again: in portions of
// half of the total, so that the giver neither waits nor is flooded with PAYs.
type till struct{ owed, portion int64 }

func newTill(total int64) till { return till{portion: max(1, total/2)} }

// take records that a DAT was taken, and answers what to pay now.
func (t *till) take() int64 {
	if t.owed++; t.owed < t.portion {
		return 0
	}
	owed := t.owed
	t.owed = 0
	return owed
}
