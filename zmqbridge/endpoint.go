package zmqbridge

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
	"github.com/zioflow/gateway/broker/zio"
)

// burst is how many messages are received before what is queued is sent, and
// the other way round.
const burst = 64

// endpoint serves the peers of one socket. One goroutine, its owner, receives
// and sends; others hand it what they deliver. A ROUTER is not thread-safe and
// wants that. A SERVER is, but when one thread sends, libzmq may take in for it
// the news of a message that another thread is waiting for, and leave that
// waiting.
type endpoint struct {
	broker  *broker.Broker
	socket  *socket
	wire    wire
	options Options
	log     *slog.Logger

	stopping atomic.Bool
	asleep   atomic.Bool // the owner waits, or is about to
	owner    sync.WaitGroup
	wake     eventFD
	poller   *poller
	// Used by the owner, after it by stop.
	peers   map[string]*peer
	waiting map[*link]bool // links with a backlog

	mu    sync.Mutex
	queue []outgoing // guarded by mu
	spare []outgoing // used by the owner: room for the next queue
}

// wire is how messages and their peers' addresses are framed on a socket.
// Only the owner calls it.
type wire interface {
	// transport is the name of it that operators see.
	transport() string
	// receive reads a message without waiting: its sender's address, which is
	// valid until the next call, and the frames of the message, for the caller
	// to close.
	receive() (from string, frames []*frame, err error)
	// open reads a ZIO message in the frames, which it takes over.
	open(frames []*frame) (*zio.Message, error)
	// wrap is the message as send wants it. It takes the message over.
	wrap(*zio.Message) (*parcel, error)
	// send uses the parcel up unless the error is EAGAIN. It answers whether
	// libzmq holds the message, and will put it on the tally when it has left.
	send(to string, p *parcel, on *tally) (held bool, err error)
	// identity is an address as people write it.
	identity(address string) string
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

func serve(b *broker.Broker, s *socket, w wire, o Options) (*endpoint, error) {
	wake, err := newEventFD()
	if err != nil {
		return nil, err
	}
	p, err := newPoller(s, int(wake))
	if err != nil {
		return nil, errors.Join(err, wake.close())
	}
	e := &endpoint{
		broker: b, socket: s, wire: w, options: o, wake: wake, poller: p,
		log:     o.Log.With("endpoint", w.transport()),
		peers:   map[string]*peer{},
		waiting: map[*link]bool{},
	}
	e.owner.Go(e.run)
	return e, nil
}

func (e *endpoint) run() {
	for !e.stopping.Load() {
		if err := e.sleep(); err != nil && !passing(err) {
			e.log.Error("poll failed", "error", err)
			time.Sleep(pollInterval) // do not spin on an error that lasts
			continue
		}
		for busy := true; busy && !e.stopping.Load(); {
			busy = e.receive()
			busy = e.sendQueued() || busy
			e.retry()
		}
	}
	e.sendQueued()
}

// sleep returns when there may be something to receive or to send.
func (e *endpoint) sleep() error {
	e.asleep.Store(true)
	defer e.asleep.Store(false)
	e.mu.Lock()
	queued := len(e.queue)
	e.mu.Unlock()
	if queued > 0 {
		return nil
	}
	defer e.wake.reset()
	return e.poller.wait(pollInterval)
}

// passing tells whether an error means no more than to try again.
func passing(err error) bool {
	return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR)
}

// receive takes in up to a burst of messages; false when there was none.
func (e *endpoint) receive() bool {
	for n := range burst {
		from, frames, err := e.wire.receive()
		if err != nil {
			if !passing(err) {
				e.log.Error("receive failed", "error", err)
			}
			return n > 0
		}
		e.dispatch(from, frames)
	}
	return true
}

func (e *endpoint) dispatch(from string, frames []*frame) {
	p := e.peers[from]
	if len(frames) == 1 && string(frames[0].bytes) == e.options.goneMark {
		closeAll(frames)
		if p != nil {
			e.leave(p, "connection closed")
		}
		return
	}
	if p == nil {
		var err error
		if p, err = e.attach(from, frames); err != nil {
			closeAll(frames)
			e.log.Error("peer not attached", "error", err)
			return
		}
	}
	m, err := e.wire.open(frames)
	if err != nil {
		p.Malformed(err)
		return
	}
	p.Receive(m)
}

func (e *endpoint) attach(from string, frames []*frame) (*peer, error) {
	left, err := newTally()
	if err != nil {
		return nil, err
	}
	info := broker.PeerInfo{Transport: e.wire.transport(), Identity: e.wire.identity(from)}
	property := func(string) string { return "" }
	if len(frames) > 0 {
		property = frames[len(frames)-1].property
	}
	info.Address = property("Peer-Address")
	var grant broker.Grant
	info.Name, grant = e.options.recognize(property)
	l := &link{endpoint: e, address: strings.Clone(from), leftLibzmq: left}
	p := &peer{link: l, Peer: e.broker.AttachWith(l, info, grant)}
	e.peers[l.address] = p
	return p, nil
}

func (e *endpoint) leave(p *peer, how string) {
	delete(e.peers, p.link.address)
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
	if e.asleep.CompareAndSwap(true, false) {
		e.wake.signal()
	}
}

// sendQueued sends what was delivered since the last time; false if nothing.
func (e *endpoint) sendQueued() bool {
	e.mu.Lock()
	queue := e.queue
	e.queue = e.spare
	e.mu.Unlock()
	for _, o := range queue {
		e.sendOne(o.link, o.message)
	}
	clear(queue)
	e.spare = queue[:0]
	return len(queue) > 0
}

func (e *endpoint) sendOne(l *link, m *zio.Message) {
	if l.gone.Load() {
		m.Release()
		return
	}
	payload := int64(m.Size())
	p, err := e.wire.wrap(m)
	if err != nil {
		e.lose(l, err.Error())
		return
	}
	p.payload = payload
	if l.backlog.empty() {
		err := l.send(p)
		if err == nil {
			return
		}
		if !errors.Is(err, syscall.EAGAIN) {
			e.lose(l, "connection closed")
			return
		}
		e.waiting[l] = true
	}
	l.backlog.add(p) // Deliver has seen to the limit
}

func (e *endpoint) lose(l *link, how string) {
	if p := e.peers[l.address]; p != nil && p.link == l {
		e.leave(p, how)
	}
}

// retry sends what could not be sent at once, now that a receive has let libzmq
// tidy up its connections, and gives it up for a peer that stalls.
func (e *endpoint) retry() {
	for l := range e.waiting {
		stalled := l.backlog.flush(e.options.Stall, l.send)
		if stalled {
			l.giveUp()
		}
		if l.backlog.empty() {
			delete(e.waiting, l)
		}
		if p := e.peers[l.address]; stalled && p != nil && p.link == l {
			p.Fail(flow.Overrun, "did not read for "+e.options.Stall.String())
		}
	}
}

// stop returns when no goroutine uses the socket any more. The links may still
// be called; what they are given is released.
func (e *endpoint) stop() {
	e.stopping.Store(true)
	e.wake.signal()
	e.owner.Wait()
	for _, p := range e.peers {
		e.leave(p, "the gateway is closing")
	}
	e.sendQueued()
}

// close closes the socket; called once, after stop.
func (e *endpoint) close() error {
	return errors.Join(e.poller.close(), e.socket.Close(), e.wake.close())
}
