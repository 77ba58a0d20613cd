package zmqbridge

import (
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
)

// serverEndpoint serves CLIENT peers through a SERVER socket. That socket is
// thread-safe: one goroutine receives, and whoever delivers sends.
type serverEndpoint struct {
	broker  *broker.Broker
	socket  *socket
	options Options
	log     *slog.Logger

	stopping atomic.Bool
	receiver sync.WaitGroup
	peers    map[uint32]*serverPeer // used by the receiver, after it by stop

	late    atomic.Int32 // links in waiting, for a look without the lock
	mu      sync.Mutex
	waiting map[*serverLink]bool // guarded by mu; links with a backlog
}

type serverPeer struct {
	*broker.Peer
	link *serverLink
}

// serverLink delivers to one CLIENT.
type serverLink struct {
	endpoint  *serverEndpoint
	routingID uint32
	inLibzmq  *tally

	mu      sync.Mutex
	backlog backlog // guarded by mu
	closed  bool    // guarded by mu; the peer has gone or the socket will
}

func serveClients(b *broker.Broker, s *socket, o Options) (endpoint, error) {
	e := &serverEndpoint{
		broker: b, socket: s, options: o,
		log:     o.Log.With("endpoint", "zmq-server"),
		peers:   map[uint32]*serverPeer{},
		waiting: map[*serverLink]bool{},
	}
	e.receiver.Go(e.receive)
	return e, nil
}

func (e *serverEndpoint) receive() {
	for !e.stopping.Load() {
		f, err := receiveFrame(e.socket, 0)
		switch {
		case err == nil:
			e.dispatch(f)
		case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		default:
			e.log.Error("receive failed", "error", err)
			time.Sleep(pollInterval) // do not spin on an error that lasts
		}
		if e.late.Load() > 0 {
			e.retry()
		}
	}
}

func (e *serverEndpoint) dispatch(f *frame) {
	p := e.peers[f.routingID]
	switch {
	case len(f.bytes) == 0: // nothing that could be ZIO
		f.close()
	case string(f.bytes) == e.options.goneMark:
		id := f.routingID
		f.close()
		if p != nil {
			delete(e.peers, id)
			p.link.close()
			p.Leave("connection closed")
		}
	default:
		if p == nil {
			var err error
			if p, err = e.attach(f); err != nil {
				f.close()
				e.log.Error("peer not attached", "error", err)
				return
			}
		}
		m, err := openSingle(f)
		if err != nil {
			p.Malformed(err)
			return
		}
		p.Receive(m)
	}
}

func (e *serverEndpoint) attach(f *frame) (*serverPeer, error) {
	inLibzmq, err := newTally()
	if err != nil {
		return nil, err
	}
	link := &serverLink{endpoint: e, routingID: f.routingID, inLibzmq: inLibzmq}
	p := &serverPeer{link: link, Peer: e.broker.Attach(link, broker.PeerInfo{
		Transport: "zmq-server",
		Address:   f.property("Peer-Address"),
		Identity:  strconv.FormatUint(uint64(f.routingID), 10),
	})}
	e.peers[f.routingID] = p
	return p, nil
}

// retry sends what could not be sent at once, now that a receive has let libzmq
// tidy up its connections.
func (e *serverEndpoint) retry() {
	for _, link := range e.takeWaiting() {
		if p := e.peers[link.routingID]; link.flush() && p != nil {
			p.Fail(flow.Overrun, "did not read for "+e.options.Stall.String())
		}
	}
}

func (e *serverEndpoint) takeWaiting() []*serverLink {
	e.mu.Lock()
	defer e.mu.Unlock()
	links := make([]*serverLink, 0, len(e.waiting))
	for link := range e.waiting {
		links = append(links, link)
	}
	return links
}

func (e *serverEndpoint) wait(link *serverLink, waits bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if waits {
		e.waiting[link] = true
	} else {
		delete(e.waiting, link)
	}
	e.late.Store(int32(len(e.waiting)))
}

func (e *serverEndpoint) stop() {
	e.stopping.Store(true)
	e.receiver.Wait()
	for _, p := range e.peers {
		p.link.flush()
		p.link.close()
		p.Leave("the gateway is closing")
	}
}

func (e *serverEndpoint) close() error { return e.socket.Close() }

// Deliver implements broker.Link. The send only queues: libzmq's own thread
// writes to the network.
func (l *serverLink) Deliver(d broker.Delivery) error {
	p, err := wrapSingle(d.Message)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		p.Release()
		return broker.ErrGone
	}
	if l.backlog.empty() {
		if err := l.send(p); !errors.Is(err, syscall.EAGAIN) {
			return err
		}
		l.endpoint.wait(l, true)
	}
	if !broker.Fits(len(l.backlog.parcels), l.endpoint.options.HighWater, d.Type) {
		p.Release()
		return broker.ErrOverrun
	}
	l.backlog.add(p)
	return nil
}

// Queued implements broker.Link.
func (l *serverLink) Queued() (messages, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	messages, bytes = l.backlog.size()
	m, b := l.inLibzmq.read()
	return messages + m, bytes + b
}

// Ended implements broker.Link; the connection may carry another flow.
func (l *serverLink) Ended(flow.Reason, string) {}

// send uses the parcel up unless the error is EAGAIN. l.mu is held.
func (l *serverLink) send(p *parcel) error {
	err := p.frames[0].sendHeld(l.endpoint.socket, l.routingID, dontWait, l.inLibzmq, 1)
	switch {
	case err == nil:
		p.recycle()
		return nil
	case errors.Is(err, syscall.EAGAIN):
		return err
	default:
		p.Release()
		return broker.ErrGone
	}
}

// flush retries the backlog. It gives the backlog up, and answers true, when the
// peer stalls.
func (l *serverLink) flush() (stalled bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	stalled = l.backlog.flush(l.endpoint.options.Stall, l.send)
	if stalled {
		l.backlog.drop()
	}
	if l.backlog.empty() {
		l.endpoint.wait(l, false)
	}
	return stalled
}

func (l *serverLink) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.backlog.drop()
	l.endpoint.wait(l, false)
}
