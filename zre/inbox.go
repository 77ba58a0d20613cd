package zre

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/zioflow/gateway/internal/crowd"
	"github.com/zioflow/gateway/zmtp"
	"github.com/zioflow/gateway/zre/peers"
	"github.com/zioflow/gateway/zre/wire"
)

// identityHead stands before the UUID in the identity of a node's connections: an
// identity must not begin with a zero byte.
const identityHead = "\x01"

const (
	// maxStrangers is how many connections there may be of those who have not said
	// HELLO. Beyond it the oldest of the host that has most is closed.
	maxStrangers = 128
	// handshakeTimeout bounds the handshake of a connection.
	handshakeTimeout = 5 * time.Second
	// acceptPause is how long nothing is accepted after an error that may last.
	acceptPause = 50 * time.Millisecond
)

// inbox is where other nodes connect. Its methods may be called concurrently.
type inbox struct {
	node     *Node
	listener net.Listener
	port     uint16
	config   *zmtp.Config
	crowd    *crowd.Crowd

	mu      sync.Mutex
	closing bool                 // guarded by mu
	last    peers.In             // guarded by mu
	conns   map[peers.In]*inConn // guarded by mu; those whose handshake is over
	all     map[*inConn]struct{} // guarded by mu
}

// errNoNode refuses those who come in the name of no node.
var errNoNode = errors.New("the identity is that of no node: 01 and a UUID")

func newInbox(n *Node, listener net.Listener) *inbox {
	b := &inbox{
		node: n, listener: listener, port: uint16(listener.Addr().(*net.TCPAddr).Port),
		crowd: crowd.New(crowd.Limits{Strangers: maxStrangers, Known: max(1, n.options.Peers.MaxPeers)}),
		conns: map[peers.In]*inConn{}, all: map[*inConn]struct{}{},
	}
	b.config = &zmtp.Config{Type: zmtp.Router, AsServer: true, Authorize: func(p *zmtp.Peer) error {
		if _, ok := parseIdentity(p.Identity); !ok || p.Type != zmtp.Dealer {
			return errNoNode
		}
		return nil
	}}
	return b
}

// parseIdentity returns the UUID in an identity.
func parseIdentity(identity string) (u wire.UUID, ok bool) {
	if len(identity) != len(identityHead)+len(u) || identity[:len(identityHead)] != identityHead {
		return u, false
	}
	copy(u[:], identity[len(identityHead):])
	return u, true
}

func (b *inbox) start() { b.node.running.Go(b.accept) }

func (b *inbox) accept() {
	for {
		conn, err := b.listener.Accept()
		switch {
		case err == nil:
			b.admit(conn)
		case b.node.ctx.Err() != nil:
			return
		default:
			select {
			case <-time.After(acceptPause):
			case <-b.node.ctx.Done():
				return
			}
		}
	}
}

// admit begins to serve a connection.
func (b *inbox) admit(conn net.Conn) {
	visitor := b.crowd.Enter(conn)
	c := &inConn{inbox: b, visitor: visitor, conn: visitor.Conn(conn), from: addressOf(conn.RemoteAddr())}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing || visitor.Gone() {
		_ = c.conn.Close()
		return
	}
	b.all[c] = struct{}{}
	b.node.running.Go(c.serve)
}

func addressOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap()
}

// enter gives a connection its number.
func (b *inbox) enter(c *inConn) peers.In {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	b.conns[b.last] = c
	return b.last
}

// leave forgets a connection.
func (b *inbox) leave(c *inConn, in peers.In) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.all, c)
	delete(b.conns, in)
}

// closeIncoming closes a connection.
func (b *inbox) closeIncoming(in peers.In) {
	if c := b.find(in); c != nil {
		_ = c.conn.Close()
	}
}

// greeted takes note that a connection is a peer's.
func (b *inbox) greeted(in peers.In) {
	if c := b.find(in); c != nil {
		c.visitor.Know()
	}
}

func (b *inbox) find(in peers.In) *inConn {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.conns[in]
}

// close closes all connections, and takes no more.
func (b *inbox) close() {
	_ = b.listener.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closing = true
	for c := range b.all {
		_ = c.conn.Close()
	}
}
