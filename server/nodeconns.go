package server

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/zioflow/gateway/internal/crowd"
	"github.com/zioflow/gateway/internal/logs"
)

// idlePatience is how long a connection of another node may stay, once the server stops,
// when there is nothing for it any more: gRPC waits for the other side to close it, and for
// seconds if that does not answer.
const idlePatience = 500 * time.Millisecond

// mostStrangers is how many connections there may be of those who have not shown yet that they
// are nodes: by TLS or, without, by a call. Beyond it the oldest goes, of the host that has
// most. mostNodeConns is how many there may be of those who have: a few for each of 1,024
// nodes.
const (
	mostStrangers = 256
	mostNodeConns = 4096
)

// nodeConns are the connections of other nodes. Its methods may be called concurrently.
type nodeConns struct {
	guests *crowd.Crowd
	lines  *logs.Sampler // of those who are no nodes

	mu      sync.Mutex
	all     map[*nodeConn]struct{} // guarded by mu
	shaking map[net.Conn]struct{}  // guarded by mu; in their handshake
	leaving bool                   // guarded by mu; the server stops
}

func newNodeConns(log *slog.Logger) *nodeConns {
	return &nodeConns{
		guests: crowd.New(crowd.Limits{Strangers: mostStrangers, Known: mostNodeConns}), lines: logs.NewSampler(log, logs.Seldom()),
		all: map[*nodeConn]struct{}{}, shaking: map[net.Conn]struct{}{},
	}
}

// nodeConn is one of them.
type nodeConn struct {
	net.Conn
	of    *nodeConns
	guest *crowd.Visitor

	// Guarded by of.mu.
	calls  int           // that go on
	unsent []func() bool // of flows whose calls are over, whether something is still to be sent
	timer  *time.Timer   // ends it; nil before the server stops
}

// handshake does one, which leave breaks off, and the arrival of too many others.
func (n *nodeConns) handshake(
	conn net.Conn, how func(net.Conn) (net.Conn, credentials.AuthInfo, error),
) (net.Conn, credentials.AuthInfo, error) {
	if !n.begin(conn) {
		_ = conn.Close()
		return nil, nil, net.ErrClosed
	}
	guest := n.guests.Enter(conn)
	served, info, err := how(conn)
	if err != nil {
		n.end(conn)
		switch {
		case guest.Gone():
			n.refused(conn, crowded)
		case !wentAway(err):
			n.refused(conn, "TLS handshake: "+err.Error())
		}
		guest.Leave()
		return nil, nil, err
	}
	if _, encrypted := info.(credentials.TLSInfo); encrypted {
		guest.Know()
	}
	c := &nodeConn{Conn: served, of: n, guest: guest}
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.shaking, conn)
	n.all[c] = struct{}{}
	c.settle()
	return c, &nodeInfo{info, c}, nil
}

// crowded is why a connection had to go for others.
const crowded = "there are too many connections of those who have not shown that they are nodes"

// refused logs that a connection was closed.
func (n *nodeConns) refused(conn net.Conn, detail string) {
	address := crowd.Host(conn.RemoteAddr())
	n.lines.Log(context.Background(), slog.LevelWarn, "cluster_stranger", logs.Of("", address), "connection refused",
		"endpoint", "cluster-peer", "address", address, "detail", detail)
}

// begin takes note of a connection before its handshake; false if there is to be none.
func (n *nodeConns) begin(conn net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.leaving {
		n.shaking[conn] = struct{}{}
	}
	return !n.leaving
}

// end takes note that the handshake of a connection has failed.
func (n *nodeConns) end(conn net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.shaking, conn)
}

// leave has each connection be closed a moment after nothing is left for it to do. It is
// called when the server stops.
func (n *nodeConns) leave() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.leaving = true
	for conn := range n.shaking {
		_ = conn.Close()
	}
	for c := range n.all {
		c.settle()
	}
}

// settle sees to the timer. of.mu is held.
func (c *nodeConn) settle() {
	_, there := c.of.all[c]
	switch {
	case !there || !c.of.leaving:
	case c.calls > 0:
		if c.timer != nil {
			c.timer.Stop()
		}
	case c.timer == nil:
		c.timer = time.AfterFunc(idlePatience, c.look)
	default:
		c.timer.Reset(idlePatience)
	}
}

// look closes the connection if it is still idle.
func (c *nodeConn) look() {
	if c.idle() {
		_ = c.Close()
	}
}

// idle tells whether nothing is left for the connection; if something is, it will be looked at
// again.
func (c *nodeConn) idle() bool {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.forgetSent()
	if c.calls == 0 && len(c.unsent) == 0 {
		return true
	}
	c.settle()
	return false
}

// forgetSent forgets flows of which all is sent. of.mu is held.
func (c *nodeConn) forgetSent() {
	c.unsent = slices.DeleteFunc(c.unsent, func(waits func() bool) bool { return !waits() })
}

// called takes note that calls have begun, or have ended.
func (c *nodeConn) called(n int) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.calls += n
	c.settle()
}

// sends takes note that what a flow has delivered is still to be sent when its call is over.
func (c *nodeConn) sends(waits func() bool) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.forgetSent()
	c.unsent = append(c.unsent, waits)
}

// Close implements net.Conn.
func (c *nodeConn) Close() error {
	if c.forget() && c.guest.Gone() {
		c.of.refused(c.Conn, crowded)
	}
	c.guest.Leave()
	return c.Conn.Close()
}

// forget takes it off the list; false if that was done already.
func (c *nodeConn) forget() bool {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	_, there := c.of.all[c]
	delete(c.of.all, c)
	if c.timer != nil {
		c.timer.Stop()
	}
	return there
}

// nodeInfo is what is known of a connection: how it is secured, and which it is.
type nodeInfo struct {
	credentials.AuthInfo
	conn *nodeConn
}

// GetSecurityValue implements credentials.ChannelzSecurityInfo.
func (v *nodeInfo) GetSecurityValue() credentials.ChannelzSecurityValue {
	return securityValue(v.AuthInfo)
}

// nodeConnOf is the connection by which another node calls; nil if it is none of those.
func nodeConnOf(ctx context.Context) *nodeConn {
	if p, ok := peer.FromContext(ctx); ok {
		if v, is := p.AuthInfo.(*nodeInfo); is {
			return v.conn
		}
	}
	return nil
}

// noteNodes tells connections of the calls that they carry.
func noteNodes() interceptor {
	note := func(ctx context.Context) (end func()) {
		c := nodeConnOf(ctx)
		if c == nil {
			return func() {}
		}
		c.guest.Know()
		c.called(1)
		return func() { c.called(-1) }
	}
	return interceptor{
		unary: func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			defer note(ctx)()
			return handler(ctx, request)
		},
		stream: func(service any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			defer note(stream.Context())()
			return handler(service, stream)
		},
	}
}
