package zmqbridge

import (
	"errors"
	"sync/atomic"
	"syscall"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
)

// link delivers to one peer. It implements broker.Link.
type link struct {
	endpoint *endpoint
	address  string // on the socket
	gone     atomic.Bool
	backlog  backlog // used by the owner alone

	// delivered and left count messages and their payload upwards; what is
	// between them is queued, here or in libzmq. Of what libzmq was given to
	// hold, leftLibzmq tells when it has left.
	delivered, left counter
	leftLibzmq      *tally
}

type counter struct{ messages, bytes atomic.Int64 }

func (c *counter) add(bytes int64) {
	c.messages.Add(1)
	c.bytes.Add(bytes)
}

// Deliver implements broker.Link. One flow delivers at a time, so nothing comes
// between the look at what is queued and the addition to it.
func (l *link) Deliver(d broker.Delivery) error {
	if l.gone.Load() {
		d.Message.Release()
		return broker.ErrGone
	}
	if !l.fits(d.Type) {
		d.Message.Release()
		return broker.ErrOverrun
	}
	l.delivered.add(int64(d.Message.Size()))
	l.endpoint.enqueue(outgoing{l, d.Message})
	return nil
}

// fits tells whether one more message of that type may be queued. To ask libzmq's
// tally is a call into C, which most messages are spared.
func (l *link) fits(t zio.Type) bool {
	limit := l.endpoint.options.HighWater
	atMost := l.delivered.messages.Load() - l.left.messages.Load()
	if broker.Fits(int(atMost), limit, t) {
		return true
	}
	queued, _ := l.Queued()
	return broker.Fits(int(queued), limit, t)
}

// Queued implements broker.Link.
func (l *link) Queued() (messages, bytes int64) {
	messages, bytes = l.leftLibzmq.read() // first, so that the difference is never too small
	messages += l.left.messages.Load()
	bytes += l.left.bytes.Load()
	return l.delivered.messages.Load() - messages, l.delivered.bytes.Load() - bytes
}

// Ended implements broker.Link; the connection may carry another flow.
func (l *link) Ended(flow.Reason, string) {}

// send uses the parcel up unless the error is EAGAIN. Called by the owner.
func (l *link) send(p *parcel) error {
	payload := p.payload
	held, err := l.endpoint.wire.send(l.address, p, l.leftLibzmq)
	if !held && !errors.Is(err, syscall.EAGAIN) {
		l.left.add(payload)
	}
	return err
}

// giveUp drops the backlog. Called by the owner.
func (l *link) giveUp() {
	for _, p := range l.backlog.parcels {
		l.left.add(p.payload)
	}
	l.backlog.drop()
}
