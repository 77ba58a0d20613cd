//go:build cgo && libzmq

package libzmq

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/rights"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// endpoint serves the peers of one socket. One goroutine, its owner, receives
// and sends; others hand it what they deliver. A ROUTER is not thread-safe and
// wants that. A SERVER is, but when one thread sends, libzmq may take in for it
// the news of a message that another thread is waiting for, and leave that
// waiting.
type endpoint struct {
	broker  *broker.Broker
	socket  *socket
	wire    *wire
	options Options
	log     *slog.Logger

	stopping atomic.Bool
	asleep   atomic.Bool // the owner waits, or is about to
	owner    sync.WaitGroup
	wake     eventFD
	// Used by the owner, after it by stop.
	peers   directory
	waiting map[*link]bool // links with a backlog
	sending []outgoing     // what is left of the queue that was taken last
	spare   []outgoing     // room for the next queue
	staged  [batch]staged

	mu    sync.Mutex
	queue []outgoing // guarded by mu
}

// staged is a message that the wire is to send next.
type staged struct {
	link   *link
	frames *frames
}

// outgoing is a message on its way to the owner, who copies it into frames if
// need be: that can take a while, which a receiver elsewhere must not wait.
type outgoing struct {
	link    *link
	message *zio.Message
}

type peer struct {
	*broker.Peer
	link *link
}

func serve(b *broker.Broker, s *socket, o Options) (*endpoint, error) {
	wake, err := newEventFD()
	if err != nil {
		return nil, err
	}
	w, err := newWire(s, wake)
	if err != nil {
		return nil, errors.Join(err, wake.close())
	}
	e := &endpoint{
		broker: b, socket: s, wire: w, options: o, wake: wake,
		log:     o.Log.With("endpoint", w.transport()),
		peers:   newDirectory(),
		waiting: map[*link]bool{},
	}
	e.owner.Go(e.run)
	return e, nil
}

func (e *endpoint) run() {
	for !e.stopping.Load() {
		received, short := e.wait()
		for {
			if !passing(short) {
				e.log.Error("receive failed", "error", short)
				time.Sleep(pollInterval) // do not spin on an error that lasts
			}
			e.dispatch(received)
			sent := e.sendQueued()
			e.retry(received+sent > 0)
			if received < batch && sent < batch || e.stopping.Load() {
				break
			}
			received, short = e.wire.receive()
		}
	}
}

// wait receives when there is something to receive or to send.
func (e *endpoint) wait() (received int, short syscall.Errno) {
	e.asleep.Store(true)
	if e.queued() {
		e.asleep.Store(false)
		return e.wire.receive()
	}
	interval := pollInterval
	if len(e.waiting) > 0 {
		interval = retryInterval
	}
	received, short = e.wire.wait(interval)
	if !e.asleep.Swap(false) {
		e.wake.reset() // was signalled, or is about to be
	}
	return received, short
}

func (e *endpoint) queued() bool {
	if len(e.sending) > 0 {
		return true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.queue) > 0
}

// passing tells whether a receive that fell short means no more than to try again.
func passing(short syscall.Errno) bool {
	return short == 0 || short == syscall.EAGAIN || short == syscall.EINTR
}

// dispatch passes on the first n messages that the wire has received.
func (e *endpoint) dispatch(n int) {
	for i := range n {
		if from, p := e.wire.received(i); p != nil {
			e.take(from, p)
		}
	}
}

func (e *endpoint) take(from address, m *frames) {
	p := e.peers.find(from)
	if m.count() == 1 && string(m.part(0)) == e.options.disconnectToken {
		m.Release()
		if p != nil {
			e.leave(p, "connection closed")
		}
		return
	}
	if p == nil {
		var err error
		if p, err = e.attach(from, m); err != nil {
			m.Release()
			e.log.Error("peer not attached", "error", err)
			return
		}
	}
	message, err := m.open()
	if err != nil {
		p.Malformed(err)
		return
	}
	p.Receive(message)
}

func (e *endpoint) attach(from address, first *frames) (*peer, error) {
	from.name = strings.Clone(from.name)
	t, err := newPeerAddress(e.wire, from)
	if err != nil {
		return nil, err
	}
	info := transport.PeerInfo{
		Transport: e.wire.transport(), Identity: e.wire.identity(from),
		Address: first.property("Peer-Address"),
	}
	var grant rights.Grant
	info.Name, grant = e.options.recognize(first.property)
	l := &link{endpoint: e, address: from, to: t}
	p := &peer{link: l, Peer: e.broker.AttachWith(l, info, grant)}
	p.Stays()
	e.peers.add(p)
	return p, nil
}

func (e *endpoint) leave(p *peer, how string) {
	e.peers.remove(p)
	delete(e.waiting, p.link)
	p.link.gone.Store(true)
	p.link.backlog.drop()
	p.Leave(how)
}

// enqueue hands a message to the owner, and wakes it if need be.
func (e *endpoint) enqueue(o outgoing) {
	e.mu.Lock()
	e.queue = append(e.queue, o)
	e.mu.Unlock()
	if e.asleep.Load() && e.asleep.CompareAndSwap(true, false) {
		e.wake.signal()
	}
}

// sendQueued sends up to a batch of what was delivered, in its order, and
// returns of how many messages it has disposed.
func (e *endpoint) sendQueued() int {
	if len(e.sending) == 0 {
		e.mu.Lock()
		e.sending, e.queue = e.queue, e.spare[:0]
		e.mu.Unlock()
		e.spare = e.sending
	}
	chunk := e.sending[:min(batch, len(e.sending))]
	ready := 0
	for _, o := range chunk {
		if p := e.prepare(o); p != nil {
			e.staged[ready] = staged{o.link, p}
			e.wire.put(ready, p, o.link.to)
			ready++
		}
	}
	clear(chunk)
	e.sending = e.sending[len(chunk):]
	if ready > 0 {
		e.sendStaged(ready)
	}
	return len(chunk)
}

// prepare returns what is to be sent now; nil for nothing.
func (e *endpoint) prepare(o outgoing) *frames {
	l := o.link
	if l.gone.Load() {
		o.message.Release()
		return nil
	}
	p, err := wrap(o.message, e.wire.server)
	if err != nil {
		e.lose(l, err.Error())
		return nil
	}
	if !l.backlog.empty() {
		l.backlog.add(p) // Deliver has seen to the limit
		return nil
	}
	return p
}

func (e *endpoint) sendStaged(n int) {
	e.wire.send(n)
	for i, s := range e.staged[:n] {
		tracked, refused := e.wire.sent(i)
		s.link.sent(s.frames, tracked, refused)
		switch {
		case refused == 0:
		case refused == syscall.EAGAIN && !s.link.gone.Load():
			e.waiting[s.link] = true
			s.link.backlog.add(s.frames)
		case refused == syscall.EAGAIN:
			s.frames.Release()
		default:
			e.lose(s.link, "connection closed")
		}
	}
	clear(e.staged[:n])
}

func (e *endpoint) lose(l *link, how string) {
	if p := e.peers.find(l.address); p != nil && p.link == l {
		e.leave(p, how)
	}
}

// retry sends what could not be sent at once, now that a receive has let libzmq
// tidy up its connections, and gives it up for peers that stall. While there is
// other work it looks at a few peers at a time, so that those that do not read
// cost the others little.
func (e *endpoint) retry(busy bool) {
	const few = 8
	looked := 0
	for l := range e.waiting { // in an order of Go's choice, another one each time
		if looked++; busy && looked > few {
			return
		}
		e.flush(l)
		stalled := l.backlog.stalled(e.options.Stall)
		if stalled {
			l.giveUp()
		}
		if l.backlog.empty() {
			delete(e.waiting, l)
		}
		if p := e.peers.find(l.address); stalled && p != nil && p.link == l {
			p.Fail(flow.Overrun, "did not read for "+e.options.Stall.String())
		}
	}
}

// flush sends up to a batch of a link's backlog.
func (e *endpoint) flush(l *link) {
	next := l.backlog.next(batch)
	for i, p := range next {
		e.wire.put(i, p, l.to)
	}
	e.wire.send(len(next))
	done := 0
	for i, p := range next {
		tracked, refused := e.wire.sent(i)
		if refused != syscall.EAGAIN {
			done++
		}
		l.sent(p, tracked, refused)
	}
	l.backlog.sent(done)
}

// stop returns when no goroutine uses the socket any more. The links may still
// be called; what they are given is released.
func (e *endpoint) stop() {
	e.stopping.Store(true)
	e.wake.signal()
	e.owner.Wait()
	for e.queued() {
		e.sendQueued()
	}
	for _, p := range e.peers.all() {
		e.leave(p, "the gateway is closing")
	}
	for e.queued() { // what was delivered meanwhile
		e.sendQueued()
	}
}

// close closes the socket; called once, after stop.
func (e *endpoint) close() error {
	e.wire.close()
	return errors.Join(e.socket.Close(), e.wake.close())
}
