package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/keepalive"

	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/cluster/members"
	"github.com/zioflow/gateway/cluster/wire"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server"
	"github.com/zioflow/gateway/server/codec"
	"github.com/zioflow/gateway/server/peerconn"
)

// How long a node may take to answer.
const (
	pingTimeout  = time.Second
	readTimeout  = 5 * time.Second
	dialTimeout  = 2 * time.Second
	redialPause  = 200 * time.Millisecond
	redialLonger = time.Second
)

// member is another node, with the connection to it and its listeners and routes as this node's
// broker has them. But for ping and readTable, its methods are the loop's.
type member struct {
	node  *Node
	id    members.ID
	name  string
	ctx   context.Context  // ends when the node is there no more
	conn  *grpc.ClientConn // nil where its address makes no sense
	wrong error            // why
	came  came             // when bytes have last come on it
	leads map[uint64]*lead // to its listeners, by their numbers

	routes   map[uint64]*farRoute // by their numbers
	draining bool
}

// reachedAt is where a node is reached that says it is at an address: there, but in tests that
// have something stand between.
var reachedAt = func(address string) string { return address }

// newMember connects to a node, as soon as there is something to say.
func (n *Node) newMember(of members.Node) *member {
	m := &member{node: n, id: of.ID, name: of.Name, draining: of.Draining, leads: map[uint64]*lead{}, routes: map[uint64]*farRoute{}, ctx: n.lives.begin(of.ID)}
	m.conn, m.wrong = grpc.NewClient("passthrough:///"+of.Address, n.dialOptions(&m.came)...)
	if m.wrong == nil {
		m.conn.Connect()
	}
	return m
}

// dialOptions are how nodes are connected to; it is noted when bytes come.
func (n *Node) dialOptions(note *came) []grpc.DialOption {
	limit := n.options.Broker.Options().MaxMessage + server.HeadRoom
	return append(peerconn.DialOptions(n.secure != nil),
		grpc.WithTransportCredentials(peerconn.Credentials(n.secure)), grpc.WithNoProxy(), grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(), grpc.WithIdleTimeout(0),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec.New()), grpc.MaxCallRecvMsgSize(limit), grpc.MaxCallSendMsgSize(limit)),
		experimental.WithBufferPool(new(codec.FramePool)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 20 * time.Second, PermitWithoutStream: true}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: redialPause, Multiplier: 1.6, Jitter: 0.2, MaxDelay: redialLonger},
			MinConnectTimeout: dialTimeout,
		}),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", reachedAt(address))
			if err != nil {
				return nil, err
			}
			return &notedConn{conn, note, &n.counts}, nil
		}),
	)
}

// came is when bytes have last come. It may be used concurrently.
type came struct{ after atomic.Int64 } // nanoseconds after begun; 0 for never

// begun is a moment of the clock that nobody sets.
var begun = time.Now()

func (c *came) note() { c.after.Store(int64(time.Since(begun))) }

// at is the time; zero for never.
func (c *came) at() time.Time {
	if after := c.after.Load(); after != 0 {
		return begun.Add(time.Duration(after))
	}
	return time.Time{}
}

// ping has the node show that it is there: that bytes come is enough.
func (m *member) ping() {
	if m.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(m.ctx, pingTimeout)
	defer cancel()
	_, _ = gatewayv1.NewClusterServiceClient(m.conn).Ping(ctx, &gatewayv1.PingRequest{})
}

// readTable reads the node's table, and returns what came of it.
func (m *member) readTable() members.Event {
	table, err := m.tryTable()
	if err != nil {
		m.node.counts.tablesFailed.Add(1)
		m.node.log.Warn("listeners and routes of a node not read", "node", m.name, "error", err)
		m.pause() // the next beat has it tried again
		return members.Failed{ID: m.id}
	}
	m.node.counts.tablesRead.Add(1)
	return members.Read{Table: table}
}

// pause waits a moment, but not for a node that has gone, nor when this one ends.
func (m *member) pause() {
	timer := time.NewTimer(redialPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-m.ctx.Done():
	case <-m.node.over:
	}
}

func (m *member) tryTable() (t members.Table, err error) {
	if m.conn == nil {
		return t, m.wrong
	}
	ctx, cancel := context.WithTimeout(m.ctx, readTimeout)
	defer cancel()
	stream, err := gatewayv1.NewClusterServiceClient(m.conn).ReadTable(ctx, &gatewayv1.ReadTableRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return t, err
	}
	t.ID = m.id
	for {
		part, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return t, nil
		case err != nil:
			return t, err
		case part.GetNodeId() != string(m.id):
			return t, fmt.Errorf("another node is at its address %s", m.conn.CanonicalTarget())
		}
		t.Number = part.GetNumber()
		t.Listeners = append(t.Listeners, wire.ToListeners(part.GetListeners())...)
		if most := m.node.options.members.MaxListeners; len(t.Listeners) > most {
			return t, fmt.Errorf("it has more than %d listeners", most)
		}
		m.takeRoutes(&t, wire.ToRoutes(part.GetRoutes()))
	}
}

// update takes note of what the node says of itself.
func (m *member) update(is members.Node) {
	m.draining = is.Draining
	for _, l := range m.leads {
		l.load()
	}
	for _, r := range m.routes {
		r.drain(m.draining)
	}
}

// tick has listeners and routes be tried again that could take nothing when they were tried
// last, and sees what the others have to do.
func (m *member) tick() {
	for _, l := range m.leads {
		if l.held.CompareAndSwap(true, false) {
			l.load()
		}
		l.recount()
	}
	for _, r := range m.routes {
		r.release()
	}
}

// change takes in what has changed of what the node has.
func (m *member) change(e *members.Entries) {
	for _, id := range e.Removed {
		m.remove(id)
	}
	for _, l := range e.Set {
		m.set(l)
	}
	for _, b := range e.Busy {
		if l := m.leads[b.ID]; l != nil {
			l.is.Flows = b.Flows
			l.load()
		}
	}
	for _, id := range e.RemovedRoutes {
		m.removeRoute(id)
	}
	for _, r := range e.SetRoutes {
		m.addRoute(r)
	}
}

func (m *member) remove(id uint64) {
	if l := m.leads[id]; l != nil {
		delete(m.leads, id)
		l.close()
	}
}

// set takes in a listener, or what it is now.
func (m *member) set(is members.Listener) {
	if l := m.leads[is.ID]; l != nil {
		same := l.is
		same.Flows = is.Flows
		if same == is {
			l.is = is
			l.load()
			return
		}
		m.remove(is.ID) // so that its match is asked anew
	}
	l := &lead{member: m, id: is.ID, name: is.Name, is: is, ends: map[uint64]context.CancelFunc{}}
	err := l.listen(listeners.Spec{
		Name: is.Name, Match: m.node.matches.of(is.Match), MaxFlows: is.MaxFlows, Sink: l,
		Peer: transport.PeerInfo{Transport: is.Transport, Address: is.Address, Identity: is.Identity, Name: is.Holder, Node: m.name},
	})
	if err != nil {
		m.node.log.Warn("listener of a node cannot be used", "node", m.name, "listener", is.Name, "error", err)
		return
	}
	m.leads[is.ID] = l
	l.load()
}

// drop ends whatever stands with the node.
func (m *member) drop(why error) {
	for id := range m.leads {
		m.remove(id)
	}
	for id := range m.routes {
		m.removeRoute(id)
	}
	m.node.lives.end(m.id, why)
	if m.conn != nil {
		_ = m.conn.Close()
	}
}
