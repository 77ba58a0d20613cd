package zmqbridge

import (
	"errors"
	"sync/atomic"
	"syscall"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
)

// routerLink delivers to one DEALER.
type routerLink struct {
	endpoint *routerEndpoint
	identity []byte
	inLibzmq *tally
	// What is in the queue and the backlog.
	messages, bytes atomic.Int64
	gone            atomic.Bool
	backlog         backlog // used by the owner alone
}

// Deliver implements broker.Link.
func (l *routerLink) Deliver(d broker.Delivery) error {
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

// giveUp drops the backlog. Called by the owner.
func (l *routerLink) giveUp() {
	for _, p := range l.backlog.parcels {
		l.messages.Add(-1)
		l.bytes.Add(-p.payload)
	}
	l.backlog.drop()
}

// Queued implements broker.Link.
func (l *routerLink) Queued() (messages, bytes int64) {
	messages, bytes = l.inLibzmq.read()
	return messages + l.messages.Load(), bytes + l.bytes.Load()
}

// Ended implements broker.Link; the connection may carry another flow.
func (l *routerLink) Ended(flow.Reason, string) {}

// send uses the parcel up unless the error is EAGAIN.
func (l *routerLink) send(p *parcel) error {
	payload := p.payload
	err := l.sendParts(p)
	if !errors.Is(err, syscall.EAGAIN) {
		l.messages.Add(-1)
		l.bytes.Add(-payload)
	}
	return err
}

func (l *routerLink) sendParts(p *parcel) error {
	s := l.endpoint.socket
	err := sendCopy(s, l.identity, sendMore|dontWait)
	if err == nil {
		err = sendCopy(s, nil, sendMore|dontWait) // MSG-9
	}
	if err != nil {
		if !errors.Is(err, syscall.EAGAIN) {
			p.Release()
		}
		return err
	}
	// libzmq has room for the message, so takes all its parts.
	counts := 1 // the message, on its first frame that is held
	for i, f := range p.frames {
		more := sendMore
		if i == len(p.frames)-1 {
			more = 0
		}
		held := len(f.bytes) >= leastHeld
		if err := f.sendHeld(s, 0, more|dontWait, l.inLibzmq, counts); err != nil {
			p.frames = p.frames[i:]
			p.Release()
			return err
		}
		if held {
			counts = 0
		}
	}
	p.recycle()
	return nil
}

func sendCopy(s *socket, b []byte, fl flags) error {
	f, err := newFrame(len(b))
	if err != nil {
		return err
	}
	copy(f.bytes, b)
	if err := f.send(s, 0, fl); err != nil {
		f.close()
		return err
	}
	return nil
}
