package zmqbridge

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
)

// burst is how many messages a ROUTER's goroutine receives before it sends
// what is queued, and the other way round.
const burst = 64

// routerEndpoint serves DEALER peers through a ROUTER socket. That socket is
// not thread-safe: one goroutine owns it, and the others hand it what they
// deliver.
type routerEndpoint struct {
	broker  *broker.Broker
	socket  *socket
	options Options
	log     *slog.Logger

	stopping atomic.Bool
	owner    sync.WaitGroup
	wake     eventFD
	// Used by the owner, after it by stop.
	peers   map[string]*routerPeer
	waiting map[*routerLink]bool // links with a backlog
	frames  []*frame             // room for the parts of one message

	mu    sync.Mutex
	queue []outgoing // guarded by mu
}

// outgoing is a message on its way to the owner, who copies it into frames if
// need be: that can take a while, which a receiver elsewhere must not wait.
type outgoing struct {
	link    *routerLink
	message *zio.Message
}

type routerPeer struct {
	*broker.Peer
	link *routerLink
}

func serveDealers(b *broker.Broker, s *socket, o Options) (endpoint, error) {
	// Without it what is sent to a peer that has gone vanishes.
	if err := s.SetRouterMandatory(1); err != nil {
		return nil, fmt.Errorf("socket option ROUTER_MANDATORY: %w", err)
	}
	wake, err := newEventFD()
	if err != nil {
		return nil, err
	}
	e := &routerEndpoint{
		broker: b, socket: s, options: o, wake: wake,
		log:     o.Log.With("endpoint", "zmq-router"),
		peers:   map[string]*routerPeer{},
		waiting: map[*routerLink]bool{},
	}
	e.owner.Go(e.run)
	return e, nil
}

func (e *routerEndpoint) run() {
	for !e.stopping.Load() {
		err := waitReadable(e.socket, int(e.wake), int(pollInterval/time.Millisecond))
		if err != nil && !errors.Is(err, syscall.EINTR) {
			e.log.Error("poll failed", "error", err)
			time.Sleep(pollInterval) // do not spin on an error that lasts
			continue
		}
		e.wake.reset()
		for busy := true; busy && !e.stopping.Load(); {
			busy = e.receive()
			busy = e.sendQueued() || busy
			e.retry()
		}
	}
	e.sendQueued()
}

// receive takes in up to a burst of messages; false when there was none.
func (e *routerEndpoint) receive() bool {
	for n := range burst {
		if err := e.receiveParts(); err != nil {
			if !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR) {
				e.log.Error("receive failed", "error", err)
			}
			return n > 0
		}
		e.dispatch(e.frames)
	}
	return true
}

// receiveParts reads one message into e.frames.
func (e *routerEndpoint) receiveParts() error {
	e.frames = e.frames[:0]
	for {
		f, err := receiveFrame(e.socket, dontWait)
		if err != nil {
			closeAll(e.frames)
			return err
		}
		more := f.more
		e.frames = append(e.frames, f)
		if !more {
			return nil
		}
	}
}

func closeAll(frames []*frame) {
	for _, f := range frames {
		f.close()
	}
}

// dispatch takes over identity, delimiter and the parts of a message.
func (e *routerEndpoint) dispatch(frames []*frame) {
	p := e.peers[string(frames[0].bytes)]
	switch {
	case len(frames) == 2 && string(frames[1].bytes) == e.options.goneMark:
		if p != nil {
			e.leave(p, "connection closed")
		}
		closeAll(frames)
		return
	case p == nil:
		var err error
		if p, err = e.attach(frames); err != nil {
			closeAll(frames)
			e.log.Error("peer not attached", "error", err)
			return
		}
	}
	if len(frames) < 2 || len(frames[1].bytes) != 0 {
		closeAll(frames)
		p.Malformed(errors.New("malformed message: an empty part must come first")) // MSG-9
		return
	}
	closeAll(frames[:2])
	m, err := openParts(frames[2:])
	if err != nil {
		p.Malformed(err)
		return
	}
	p.Receive(m)
}

func (e *routerEndpoint) attach(frames []*frame) (*routerPeer, error) {
	inLibzmq, err := newTally()
	if err != nil {
		return nil, err
	}
	identity := append([]byte(nil), frames[0].bytes...)
	link := &routerLink{endpoint: e, identity: identity, inLibzmq: inLibzmq}
	p := &routerPeer{link: link, Peer: e.broker.Attach(link, broker.PeerInfo{
		Transport: "zmq-router",
		Address:   frames[len(frames)-1].property("Peer-Address"),
		Identity:  readable(identity),
	})}
	e.peers[string(identity)] = p
	return p, nil
}

// readable is an identity as people write it: those that libzmq makes begin
// with a zero byte.
func readable(identity []byte) string {
	for _, c := range identity {
		if c < ' ' || c > '~' {
			return fmt.Sprintf("%x", identity)
		}
	}
	return string(identity)
}

func (e *routerEndpoint) leave(p *routerPeer, how string) {
	delete(e.peers, string(p.link.identity))
	delete(e.waiting, p.link)
	p.link.gone.Store(true)
	p.link.backlog.drop()
	p.Leave(how)
}

// sendQueued sends what was delivered since the last time; false if nothing.
func (e *routerEndpoint) sendQueued() bool {
	e.mu.Lock()
	queue := e.queue
	e.queue = nil
	e.mu.Unlock()
	for _, o := range queue {
		e.sendOne(o.link, o.message)
	}
	return len(queue) > 0
}

func (e *routerEndpoint) sendOne(l *routerLink, m *zio.Message) {
	if l.gone.Load() {
		m.Release()
		return
	}
	payload := int64(m.Size())
	p, err := wrapParts(m)
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

func (e *routerEndpoint) lose(l *routerLink, how string) {
	if p := e.peers[string(l.identity)]; p != nil && p.link == l {
		e.leave(p, how)
	}
}

// retry sends what could not be sent at once, and gives it up for a peer that
// stalls.
func (e *routerEndpoint) retry() {
	for l := range e.waiting {
		stalled := l.backlog.flush(e.options.Stall, l.send)
		if stalled {
			l.giveUp()
		}
		if l.backlog.empty() {
			delete(e.waiting, l)
		}
		if p := e.peers[string(l.identity)]; stalled && p != nil && p.link == l {
			p.Fail(flow.Overrun, "did not read for "+e.options.Stall.String())
		}
	}
}

func (e *routerEndpoint) stop() {
	e.stopping.Store(true)
	e.wake.signal()
	e.owner.Wait()
	for _, p := range e.peers {
		e.leave(p, "the gateway is closing")
	}
	e.sendQueued()
}

func (e *routerEndpoint) close() error { return errors.Join(e.socket.Close(), e.wake.close()) }

// enqueue hands a message to the owner, and wakes it if need be.
func (e *routerEndpoint) enqueue(o outgoing) {
	e.mu.Lock()
	first := len(e.queue) == 0
	e.queue = append(e.queue, o)
	e.mu.Unlock()
	if first {
		e.wake.signal()
	}
}
