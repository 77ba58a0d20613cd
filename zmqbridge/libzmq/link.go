//go:build cgo && libzmq

package libzmq

import (
	"sync/atomic"
	"syscall"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// link delivers to one peer. It implements transport.Link.
type link struct {
	endpoint *endpoint
	address  address // on the socket
	to       *peerAddress
	gone     atomic.Bool
	backlog  backlog // used by the owner alone

	// delivered and left count messages and their weight upwards; what is
	// between them is queued, here or in libzmq. Of what libzmq was given to
	// hold, to tells when it has left.
	delivered, left counter
}

type counter struct{ messages, bytes atomic.Int64 }

func (c *counter) add(bytes int64) {
	c.messages.Add(1)
	c.bytes.Add(bytes)
}

// Deliver implements transport.Link. One flow delivers at a time, so nothing comes
// between the look at what is queued and the addition to it.
func (l *link) Deliver(d transport.Delivery) error {
	if l.gone.Load() {
		d.Message.Release()
		return transport.ErrGone
	}
	if !l.fits(d.Type) {
		d.Message.Release()
		return transport.ErrOverrun
	}
	l.delivered.add(d.Weight)
	l.endpoint.enqueue(outgoing{l, d.Message})
	return nil
}

// fits tells whether one more message of that type may be queued.
func (l *link) fits(t zio.Type) bool {
	queued, _ := l.Queued()
	return transport.Fits(int(queued), l.endpoint.options.HighWater, t)
}

// Queued implements transport.Link.
func (l *link) Queued() (messages, bytes int64) {
	messages, bytes = l.to.left() // first, so that the difference is never too small
	messages += l.left.messages.Load()
	bytes += l.left.bytes.Load()
	return l.delivered.messages.Load() - messages, l.delivered.bytes.Load() - bytes
}

// Flush implements transport.Link: the owner was woken by Deliver.
func (l *link) Flush() {}

// Ended implements transport.Link; the connection may carry another flow.
func (l *link) Ended(flow.Reason, string) {}

// sent takes note of what became of a message, whose frames are empty unless the error is
// EAGAIN. Called by the owner.
func (l *link) sent(p *frames, tracked bool, e syscall.Errno) {
	if e == syscall.EAGAIN {
		return
	}
	if !tracked {
		l.left.add(p.weight)
	}
	p.recycle()
}

// giveUp drops the backlog. Called by the owner.
func (l *link) giveUp() {
	for _, p := range l.backlog.messages {
		l.left.add(p.weight)
	}
	l.backlog.drop()
}
