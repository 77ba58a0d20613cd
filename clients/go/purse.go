package zioflow

import (
	"sync"
	"time"
)

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

// payInterval is how long a taker may go without a PAY for what it has taken. A slow one
// so pays for each message: what has come may lie where neither it nor the gateway sees
// it, and only the PAYs show that it moves.
const payInterval = 250 * time.Millisecond

// till counts the credit that a taker has to hand out again: in portions of half of the
// total, so that the giver neither waits nor is flooded with PAYs; and one by one from
// a slow taker, and once the giver has said EOT. It may be used concurrently.
type till struct {
	due chan struct{} // holds a token when something is to be paid

	mu      sync.Mutex
	portion int64     // guarded by mu
	owed    int64     // guarded by mu
	paid    time.Time // guarded by mu; when something was paid last
}

func newTill(total int64) till {
	return till{due: make(chan struct{}, 1), portion: max(1, total/2), paid: time.Now()}
}

// take records that a message was taken.
func (t *till) take() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.owed++
	if t.owed >= t.portion || time.Since(t.paid) >= payInterval {
		signal(t.due)
	}
}

// last records that the giver has said EOT: what is owed is to be paid with the next
// message that is taken, and each by itself from then on.
func (t *till) last() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.portion = 1
}

// pay returns what is owed, which is paid now.
func (t *till) pay() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	owed := t.owed
	t.owed, t.paid = 0, time.Now()
	return owed
}
