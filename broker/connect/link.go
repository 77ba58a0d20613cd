package connect

import (
	"sync"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/text"
)

// link is the transport.Link of a handler that was connected to: an outbox that goes on when
// the flow has ended, as an EOT may have to be repeated.
type link struct {
	*transport.Outbox
	conn  Conn
	over  chan struct{} // closed when the flow has ended
	ended sync.Once     // for closing it

	mu     sync.Mutex
	left   transport.Count // guarded by mu; DATs that have left
	end    flow.Error      // guarded by mu; of the flow, or why there is none
	reason *string         // guarded by mu; an operator's, who has ended the connection; nil before
}

func newLink(conn Conn, limit int) *link {
	return &link{Outbox: transport.NewOutbox(limit), conn: conn, over: make(chan struct{})}
}

// Deliver implements transport.Link. The client's BOT goes no further: the handler has had
// it.
func (l *link) Deliver(d transport.Delivery) error {
	if d.Type == zio.BOT {
		d.Message.Release()
		return nil
	}
	return l.Outbox.Deliver(d)
}

// Ended implements transport.Link.
func (l *link) Ended(reason flow.Reason, detail string) {
	l.ended.Do(func() {
		l.mu.Lock()
		l.end = flow.Error{Reason: reason, Detail: detail}
		l.mu.Unlock()
		close(l.over)
	})
}

// refusal is why the handler's BOT has not been accepted.
func (l *link) refusal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &flow.Error{Reason: l.end.Reason, Detail: text.Detail("the handler: " + l.end.Detail)}
}

// departed takes note of DATs that have left.
func (l *link) departed(data transport.Count) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left.Messages += data.Messages
	l.left.Bytes += data.Bytes
}

// Departed implements transport.Departed.
func (l *link) Departed() transport.Count {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.left
}

// Moved implements transport.Mover.
func (l *link) Moved() uint64 {
	s := l.conn.Stats()
	return s.BytesIn + s.BytesOut
}

// Disconnect implements transport.Disconnector.
func (l *link) Disconnect(detail string) {
	l.mu.Lock()
	l.reason = &detail
	l.mu.Unlock()
	go func() { _ = l.conn.Close(0) }() // which waits for what reads and writes
}

// disconnected is what an operator has ended the connection for.
func (l *link) disconnected() (detail string, was bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reason == nil {
		return "", false
	}
	return *l.reason, true
}

// Describe implements transport.Describer.
func (l *link) Describe() transport.LinkInfo {
	s := l.conn.Stats()
	messages, bytes := l.Queued()
	return transport.LinkInfo{
		Protocol: s.Protocol, Mechanism: s.Mechanism, BytesIn: s.BytesIn, BytesOut: s.BytesOut,
		QueuedMessages: messages, QueuedBytes: bytes, LastSeen: s.LastSeen,
	}
}
