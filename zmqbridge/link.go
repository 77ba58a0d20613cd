package zmqbridge

import (
	"errors"
	"sync/atomic"
	"syscall"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
)

// link delivers to one peer. It implements broker.Link.
type link struct {
	endpoint *endpoint
	address  string // on the socket
	inLibzmq *tally
	// What is in the queue and the backlog.
	messages, bytes atomic.Int64
	gone            atomic.Bool
	backlog         backlog // used by the owner alone
}

// Deliver implements broker.Link.
func (l *link) Deliver(d broker.Delivery) error {
	if l.gone.Load() {
		d.Message.Release()
		return broker.ErrGone
	}
	if !broker.Fits(int(l.messages.Add(1)-1), l.endpoint.options.HighWater, d.Type) {
		l.messages.Add(-1)
		d.Message.Release()
		return broker.ErrOverrun
	}
	l.bytes.Add(int64(d.Message.Size()))
	l.endpoint.enqueue(outgoing{l, d.Message})
	return nil
}

// Queued implements broker.Link.
func (l *link) Queued() (messages, bytes int64) {
	messages, bytes = l.inLibzmq.read()
	return messages + l.messages.Load(), bytes + l.bytes.Load()
}

// Ended implements broker.Link; the connection may carry another flow.
func (l *link) Ended(flow.Reason, string) {}

// send uses the parcel up unless the error is EAGAIN. Called by the owner.
func (l *link) send(p *parcel) error {
	payload := p.payload
	err := l.endpoint.wire.send(l.address, p, l.inLibzmq)
	if !errors.Is(err, syscall.EAGAIN) {
		l.messages.Add(-1)
		l.bytes.Add(-payload)
	}
	return err
}

// giveUp drops the backlog. Called by the owner.
func (l *link) giveUp() {
	for _, p := range l.backlog.parcels {
		l.messages.Add(-1)
		l.bytes.Add(-p.payload)
	}
	l.backlog.drop()
}
