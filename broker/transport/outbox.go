package transport

import (
	"context"
	"sync"

	"github.com/zioflow/gateway/broker/flow"
)

// Outbox is a Link for a peer that is served by a goroutine of its own: it
// queues what is delivered until that goroutine takes it. One goroutine takes;
// all else may be called concurrently.
type Outbox struct {
	limit   int
	counted bool          // by the outbox itself
	wake    chan struct{} // holds a token when there may be something to take

	mu     sync.Mutex
	queue  []Delivery // guarded by mu
	waits  Count      // guarded by mu; in the queue
	taken  Count      // guarded by mu; in what Take returned last
	end    flow.Error // guarded by mu
	ended  bool       // guarded by mu
	closed bool       // guarded by mu
}

// NewOutbox makes an outbox that holds limit messages at the most. A flow puts
// no more than its credit and a BOT and an EOT into it.
func NewOutbox(limit int) *Outbox {
	return &Outbox{limit: limit, counted: true, wake: make(chan struct{}, 1)}
}

// NewUncountedOutbox makes one for a Link that knows when its messages have left, and counts
// them from their delivery till then: Queued is that Link's own, the outbox's is 0.
func NewUncountedOutbox(limit int) *Outbox {
	return &Outbox{limit: limit, wake: make(chan struct{}, 1)}
}

// Deliver implements Link.
func (o *Outbox) Deliver(d Delivery) error {
	err := o.put(d)
	if err != nil {
		d.Message.Release()
	}
	return err
}

// Flush implements Link: it wakes the goroutine that takes.
func (o *Outbox) Flush() { o.ring() }

func (o *Outbox) put(d Delivery) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closed:
		return ErrGone
	case !Fits(len(o.queue), o.limit, d.Type):
		return ErrOverrun
	}
	o.queue = append(o.queue, d)
	if o.counted {
		o.waits.Messages++
		o.waits.Bytes += uint64(d.Weight)
	}
	return nil
}

// Queued implements Link. What Take has returned counts until the next Take.
func (o *Outbox) Queued() (messages, bytes int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return int64(o.waits.Messages + o.taken.Messages), int64(o.waits.Bytes + o.taken.Bytes)
}

// Ended implements Link.
func (o *Outbox) Ended(reason flow.Reason, detail string) {
	o.mu.Lock()
	o.end, o.ended = flow.Error{Reason: reason, Detail: detail}, true
	o.mu.Unlock()
	o.ring()
}

func (o *Outbox) ring() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Take waits for messages and returns all there are. The caller releases them;
// room, if given, is a slice that Take returned earlier, to be used again. When
// nothing is left of a flow that has ended, the error is the *flow.Error that says
// why, Completed included; when the context ends first, its cause. What was
// delivered before the context ended is returned, not lost to it.
func (o *Outbox) Take(ctx context.Context, room []Delivery) ([]Delivery, error) {
	clear(room)
	for {
		over := ctx.Err() != nil // asked before the queue is looked at
		batch, end := o.swap(room[:0])
		switch {
		case len(batch) > 0:
			return batch, nil
		case end != nil:
			return nil, end
		case over:
			return nil, context.Cause(ctx)
		}
		select {
		case <-o.wake:
		case <-ctx.Done():
		}
	}
}

func (o *Outbox) swap(room []Delivery) ([]Delivery, *flow.Error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 && o.ended {
		end := o.end
		return nil, &end
	}
	batch := o.queue
	if len(batch) > 0 {
		o.queue = room
	}
	o.taken, o.waits = o.waits, Count{}
	return batch, nil
}

// Close releases what is queued and refuses what comes after.
func (o *Outbox) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, d := range o.queue {
		d.Message.Release()
	}
	o.queue, o.closed = nil, true
	o.waits, o.taken = Count{}, Count{}
}
