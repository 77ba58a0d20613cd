package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/pki"
	"github.com/zioflow/gateway/server/peerconn"
)

// peersRig is a server for other nodes, and one of those.
type peersRig struct {
	broker *broker.Broker
	peers  *Peers
	dial   func(context.Context) (net.Conn, error)
	node   gatewayv1.ClusterServiceClient
	held   *heldConn // the node's
	end    func()    // to be called after Stop
}

// newPeersRig starts them. It is to be called in a bubble.
func newPeersRig(t *testing.T) *peersRig {
	t.Helper()
	return newPeersRigWith(t, PeersOptions{}, insecure.NewCredentials())
}

func newPeersRigWith(t *testing.T, o PeersOptions, how credentials.TransportCredentials) *peersRig {
	t.Helper()
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	o.Table = func() []*gatewayv1.ReadTableResponse { return nil }
	o.Alive = func(ctx context.Context, _ string) (context.Context, context.CancelFunc) {
		return context.WithCancel(ctx)
	}
	p := NewPeers(b, o)
	listener := bufconn.Listen(1 << 20)
	served := make(chan error, 1)
	go func() { served <- p.Serve(listener) }()
	r := &peersRig{broker: b, peers: p, dial: listener.DialContext, held: &heldConn{frozen: make(chan struct{}), over: make(chan struct{})}}
	client, err := grpc.NewClient("passthrough:node", grpc.WithTransportCredentials(how),
		grpc.WithStaticStreamWindowSize(64<<10), grpc.WithStaticConnWindowSize(64<<10),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (_ net.Conn, err error) {
			r.held.Conn, err = r.dial(ctx)
			return r.held, err
		}))
	if err != nil {
		t.Fatal(err)
	}
	r.node = gatewayv1.NewClusterServiceClient(client)
	r.end = func() {
		close(r.held.over)
		_ = client.Close()
		_ = r.held.Conn.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
	return r
}

// TestStopWaitsForNoIdleNode: neither for one that keeps its connection, nor for one that does
// not answer, nor for a stranger that says nothing.
func TestStopWaitsForNoIdleNode(t *testing.T) {
	for _, frozen := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newPeersRig(t)
			if _, err := r.node.Ping(t.Context(), &gatewayv1.PingRequest{}); err != nil {
				t.Fatal(err)
			}
			if frozen {
				close(r.held.frozen)
			}
			stranger, err := r.dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			r.broker.Close(flow.Draining, "the test is over")
			begin := time.Now() // of the bubble's clock
			r.peers.Stop(context.Background())
			if took := time.Since(begin); took > idlePatience {
				t.Errorf("frozen %v: the stop took %v", frozen, took)
			}
			_ = stranger.Close()
			r.end()
		})
	}
}

// TestStrangersMakeRoomForNodes: of connections by which nobody shows that he is a node there are
// only so many, whether they say nothing in their handshake or after it. A node's stays, and
// new ones find their place.
func TestStrangersMakeRoomForNodes(t *testing.T) {
	for what, encrypted := range map[string]bool{"in clear text": false, "in the handshake": true} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer // read when all wait
			o, how := PeersOptions{Log: slog.New(slog.NewTextHandler(&log, nil))}, insecure.NewCredentials()
			if encrypted {
				o.TLS = nodeKeys(t)
				how = peerconn.Credentials(o.TLS)
			}
			r := newPeersRigWith(t, o, how)
			ping := func(node gatewayv1.ClusterServiceClient) {
				t.Helper()
				if _, err := node.Ping(t.Context(), &gatewayv1.PingRequest{}); err != nil {
					t.Fatal(what, err)
				}
			}
			ping(r.node)
			const more = 20
			var strangers []net.Conn
			for range mostStrangers + more {
				stranger, err := r.dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				strangers = append(strangers, stranger)
				synctest.Wait()
			}
			if n, known, closed := r.peers.conns.guests.Count(); n != mostStrangers || known != 1 || closed != more {
				t.Errorf("%s: %d strangers, %d nodes, %d had to go", what, n, known, closed)
			}
			if !strings.Contains(log.String(), crowded) {
				t.Errorf("%s: the log has %q", what, log.String())
			}
			ping(r.node)
			client, err := grpc.NewClient("passthrough:node", grpc.WithTransportCredentials(how),
				grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return r.dial(ctx) }))
			if err != nil {
				t.Fatal(err)
			}
			ping(gatewayv1.NewClusterServiceClient(client))
			if n, known, _ := r.peers.conns.guests.Count(); n != mostStrangers-1 || known != 2 {
				t.Errorf("%s: %d strangers and %d nodes after another node's coming", what, n, known)
			}
			_ = client.Close()
			r.broker.Close(flow.Draining, "the test is over")
			r.peers.Stop(context.Background())
			if n, known, _ := r.peers.conns.guests.Count(); n != 0 || known != 0 {
				t.Errorf("%s: %d strangers and %d nodes when all is over", what, n, known)
			}
			for _, stranger := range strangers {
				_ = stranger.Close()
			}
			r.end()
		})
	}
}

// nodeKeys are a node's, for both sides of its connections.
func nodeKeys(t *testing.T) *tls.Config {
	t.Helper()
	ca, err := pki.NewCA("test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Peer("node", "node", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{certificate}, RootCAs: ca.Pool(), ServerName: "node",
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool(), MinVersion: tls.VersionTLS13,
	}
}

// given is a listener's sink, and the handler of what is offered to it.
type given struct {
	*transport.Outbox
	offers chan routing.Offer
}

func (g *given) Offer(o routing.Offer) error  { g.offers <- o; return nil }
func (g *given) Withdraw(uint64, flow.Reason) {}
func (g *given) take(t *testing.T) transport.Delivery {
	t.Helper()
	batch, err := g.Take(t.Context(), nil)
	if err != nil || len(batch) != 1 {
		t.Fatalf("the handler was given %d messages, %v", len(batch), err)
	}
	return batch[0]
}

// TestStopCutsNoNodeThatReadsSlowly: what a flow has delivered before the stop comes whole, and in
// order, however late the other node reads it.
func TestStopCutsNoNodeThatReadsSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The node's windows let through little more than one unread, and gRPC queues the
		// rest, so that the call is over before it is written.
		const dats, size = 2, 60 << 10
		r := newPeersRig(t)
		handler := &given{transport.NewOutbox(10), make(chan routing.Offer, 1)}
		listener, err := r.broker.Listen(listeners.Spec{Name: "given", Sink: handler})
		if err != nil {
			t.Fatal(err)
		}
		node, err := r.node.Carry(t.Context(), grpc.MaxCallRecvMsgSize(2*size))
		if err != nil {
			t.Fatal(err)
		}
		send := func(m *gatewayv1.CarryRequest) {
			if err := node.Send(m); err != nil {
				t.Fatal(err)
			}
		}
		send(&gatewayv1.CarryRequest{Message: &gatewayv1.CarryRequest_Begin{Begin: &gatewayv1.CarriedFlow{
			Node: "other", NodeId: "1", ListenerId: listener.ID(), Client: &gatewayv1.Peer{Transport: "grpc"},
			Bot: &gatewayv1.Bot{Label: `{"flow":"BOT","direction":"inject","credit":2}`},
		}}})
		offer := <-handler.offers
		peer := r.broker.Attach(handler, transport.PeerInfo{Transport: "fake"})
		label, err := zio.RewriteBot([]byte(`{"flow":"BOT"}`), zio.Extract, dats, offer.CID)
		if err != nil {
			t.Fatal(err)
		}
		peer.Receive(&zio.Message{Label: label, Form: zio.FormFlow})
		handler.take(t) // the client's BOT
		send(&gatewayv1.CarryRequest{Message: &gatewayv1.CarryRequest_Pay{Pay: &gatewayv1.Pay{Label: `{"flow":"PAY","credit":2}`, Credit: dats}}})
		handler.take(t)
		for i := range dats {
			peer.Receive(&zio.Message{Label: []byte(`{"flow":"DAT"}`), Form: zio.FormFlow, Payload: [][]byte{bytes.Repeat([]byte{byte(i)}, size)}})
		}
		synctest.Wait()
		r.broker.Close(flow.Draining, "the test is over")
		stopped := make(chan struct{})
		go func() { r.peers.Stop(context.Background()); close(stopped) }()
		time.Sleep(10 * idlePatience) // of the bubble's clock
		got, ended := 0, false
		for {
			m, err := node.Recv()
			if errors.Is(err, io.EOF) || err != nil && ended {
				break
			}
			if err != nil {
				t.Fatalf("after %d DATs: %v", got, err)
			}
			if p := m.GetDat().GetPayload(); len(p) == 1 {
				if len(p[0]) != size || p[0][0] != byte(got) {
					t.Errorf("%d bytes of %d came in the place of DAT %d", len(p[0]), p[0][0], got)
				}
				got++
			}
			ended = ended || m.GetEot().GetReason() == gatewayv1.EndReason_END_REASON_DRAINING
		}
		if got != dats || !ended {
			t.Errorf("%d of %d DATs came, and the end: %v", got, dats, ended)
		}
		<-stopped
		peer.Leave("the test is over")
		listener.Close()
		r.end()
	})
}
