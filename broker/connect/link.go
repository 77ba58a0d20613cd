package connect

import (
	"sync"
	"sync/atomic"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/text"
)

// link is the broker.Link of a handler that was connected to. What is delivered waits
// until the handler's writing goroutine takes it; what that has taken counts as queued
// until it takes again.
type link struct {
	conn  Conn
	limit int
	wake  chan struct{} // holds a token when there may be something to take
	over  chan struct{} // closed when the flow has ended
	ended sync.Once     // for closing it
	left  atomic.Bool   // an operator has ended the connection

	mu     sync.Mutex
	queue  []broker.Delivery // guarded by mu
	waits  count             // guarded by mu; in the queue
	taken  count             // guarded by mu; in what take returned last
	data   count             // guarded by mu; DATs among that
	gone   broker.Count      // guarded by mu; DATs that have left
	reason string            // guarded by mu; of the operator
	end    broker.EndError   // guarded by mu; of the flow, or why there is none
	closed bool              // guarded by mu
}

// count is how many messages and what they weigh.
type count struct{ messages, bytes int64 }

func newLink(conn Conn, limit int) *link {
	return &link{conn: conn, limit: limit, wake: make(chan struct{}, 1), over: make(chan struct{})}
}

// Deliver implements broker.Link. The client's BOT goes no further: the handler has had
// it.
func (l *link) Deliver(d broker.Delivery) error {
	if d.Type == zio.BOT {
		d.Message.Release()
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		d.Message.Release()
		return broker.ErrGone
	case !broker.Fits(len(l.queue), l.limit, d.Type):
		d.Message.Release()
		return broker.ErrOverrun
	}
	l.queue = append(l.queue, d)
	l.waits.messages++
	l.waits.bytes += int64(d.Message.Weight())
	return nil
}

// Flush implements broker.Link: it wakes the goroutine that writes.
func (l *link) Flush() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Queued implements broker.Link.
func (l *link) Queued() (messages, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waits.messages + l.taken.messages, l.waits.bytes + l.taken.bytes
}

// Ended implements broker.Link.
func (l *link) Ended(reason flow.Reason, detail string) {
	l.ended.Do(func() {
		l.mu.Lock()
		l.end = broker.EndError{Reason: reason, Detail: detail}
		l.mu.Unlock()
		close(l.over)
	})
}

// refusal is why the handler's BOT has not been accepted.
func (l *link) refusal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := l.end
	end.Detail = text.Detail("the handler: " + end.Detail)
	return &end
}

// Departed implements broker.Departed.
func (l *link) Departed() broker.Count {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone
}

// Moved implements broker.Mover.
func (l *link) Moved() uint64 {
	s := l.conn.Stats()
	return s.BytesIn + s.BytesOut
}

// Disconnect implements broker.Disconnector.
func (l *link) Disconnect(detail string) {
	l.mu.Lock()
	l.reason = detail
	l.mu.Unlock()
	l.left.Store(true)
	go func() { _ = l.conn.Close(0) }() // which waits for what reads and writes
}

// disconnected is what an operator has ended the connection for.
func (l *link) disconnected() (detail string, was bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reason, l.left.Load()
}

// Describe implements broker.Describer.
func (l *link) Describe() broker.LinkInfo {
	s := l.conn.Stats()
	messages, bytes := l.Queued()
	return broker.LinkInfo{
		Protocol: s.Protocol, Mechanism: s.Mechanism, BytesIn: s.BytesIn, BytesOut: s.BytesOut,
		QueuedMessages: messages, QueuedBytes: bytes, LastSeen: s.LastSeen,
	}
}

// take returns all that is queued; nothing if that is nothing. What it returned before
// has left.
func (l *link) take(room []broker.Delivery) []broker.Delivery {
	clear(room)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone.Messages += uint64(l.data.messages)
	l.gone.Bytes += uint64(l.data.bytes)
	batch := l.queue
	l.queue, l.taken, l.waits, l.data = room[:0], l.waits, count{}, count{}
	for i := range batch {
		if batch[i].Type == zio.DAT {
			l.data.messages++
			l.data.bytes += int64(batch[i].Message.Size())
		}
	}
	return batch
}

// close releases what is queued and refuses what comes after.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.queue {
		d.Message.Release()
	}
	l.queue, l.closed = nil, true
	l.waits, l.taken, l.data = count{}, count{}, count{}
}
