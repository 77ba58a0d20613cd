package server_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server"
)

// peer is the only gRPC peer.
func (f *front) peer(t *testing.T) *gatewayv1.ConnectedPeer {
	t.Helper()
	r, err := f.admin.ListPeers(f.ctx, &gatewayv1.ListPeersRequest{Transport: "grpc"})
	if err != nil || len(r.GetPeers()) != 1 {
		t.Fatalf("there are %v, %v, want one gRPC peer", r, err)
	}
	return r.GetPeers()[0]
}

// TestDisconnectPeer: whatever the stream is, it ends with a status that says so, its
// other side is told, and the log has who has done it.
func TestDisconnectPeer(t *testing.T) {
	for name, open := range map[string]func(t *testing.T, f *front) (end func() error){
		"Open": func(t *testing.T, f *front) func() error {
			stream := f.open(t, giving(1))
			awaitCredit(t, stream)
			return func() error {
				m, err := stream.Recv()
				if err != nil || m.GetEot().GetReason() != gatewayv1.EndReason_END_REASON_ENDED_BY_ADMIN || m.GetEot().GetDetail() != "beam off" {
					t.Errorf("the stream received %v, %v, want the EOT", m, err)
				}
				_, err = stream.Recv()
				return err
			}
		},
		"Put": func(t *testing.T, f *front) func() error {
			stream, err := f.flows.Put(f.ctx)
			if err != nil {
				t.Fatal(err)
			}
			active := f.watch(t, &gatewayv1.WatchFlowsRequest{States: []gatewayv1.FlowState{gatewayv1.FlowState_FLOW_STATE_ACTIVE}})
			bot := &gatewayv1.PutRequest{Message: &gatewayv1.PutRequest_Bot{Bot: &gatewayv1.Bot{Credit: 2}}}
			if err := stream.Send(bot); err != nil {
				t.Fatal(err)
			}
			if _, err := active.Recv(); err != nil {
				t.Fatal(err)
			}
			return func() error { return stream.RecvMsg(&gatewayv1.PutResponse{}) }
		},
		"Get": func(t *testing.T, f *front) func() error {
			stream, err := f.flows.Get(f.ctx, &gatewayv1.GetRequest{Bot: &gatewayv1.Bot{Label: `{"count":1000000000}`}})
			if err == nil {
				_, err = stream.Recv()
			}
			if err != nil {
				t.Fatal(err)
			}
			return func() (err error) {
				for err == nil {
					_, err = stream.Recv()
				}
				return err
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := newLines()
			f := startWith(t, nil, func(o *server.Options) { o.Log = log.logger() })
			end := open(t, f)
			peer := f.peer(t)
			r, err := f.admin.DisconnectPeer(f.ctx, &gatewayv1.DisconnectPeerRequest{PeerId: peer.GetId(), Detail: "beam off"})
			if err != nil || r.GetPeer().GetId() != peer.GetId() || r.GetPeer().GetFlowId() != 1 || r.GetPeer().GetProtocol() != "HTTP/2" {
				t.Errorf("disconnected %v, %v", r, err)
			}
			wantStatus[*errdetails.ErrorInfo](t, end(), codes.Aborted, "ended_by_admin: beam off")
			if info := f.broker.Flow(1).Info(); info.Reason != flow.EndedByAdmin || info.Detail != "beam off" {
				t.Errorf("the flow ended with %v: %s", info.Reason, info.Detail)
			}
			line := log.await(f.ctx, t, "peer disconnected")
			if line["level"] != "INFO" || line["peer"] != "grpc "+peer.GetPeer().GetAddress() || line["id"] != float64(peer.GetId()) ||
				line["flow"] != 1. || line["detail"] != "beam off" || line["by"] != "grpc bufconn" {
				t.Errorf("logged %v", line)
			}
			awaitNone(t, f.broker, "grpc")
			_, err = f.admin.DisconnectPeer(f.ctx, &gatewayv1.DisconnectPeerRequest{PeerId: peer.GetId()})
			wantStatus[*errdetails.ResourceInfo](t, err, codes.NotFound, fmt.Sprintf("no peer %d", peer.GetId()))
		})
	}
}

// awaitNone waits until no peer of that transport is left.
func awaitNone(t *testing.T, b *broker.Broker, transport string) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(10 * time.Second); b.Stats().Peers[transport] > 0; {
		select {
		case <-ticker.C: // streams end before their peers leave
		case <-deadline:
			t.Fatalf("there are still %v", b.Stats().Peers)
		}
	}
}

func TestDisconnectPeerRefuses(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	stream := f.open(t, giving(1))
	awaitCredit(t, stream)
	r, err := f.admin.ListPeers(f.ctx, &gatewayv1.ListPeersRequest{Transport: "builtin"})
	if err != nil || len(r.GetPeers()) != 1 {
		t.Fatalf("built-in handlers: %v, %v", r, err)
	}
	inside := r.GetPeers()[0]
	if inside.GetProtocol() != "" || inside.GetMechanism() != 0 || inside.GetFlowId() != 1 || inside.GetLastSeen() == nil {
		t.Errorf("a built-in handler is shown as %v", inside)
	}
	_, err = f.admin.DisconnectPeer(f.ctx, &gatewayv1.DisconnectPeerRequest{PeerId: inside.GetId()})
	wantStatus[*errdetails.PreconditionFailure](t, err, codes.FailedPrecondition, "no connection that could be ended: builtin dump")
	_, err = f.admin.DisconnectPeer(f.ctx, &gatewayv1.DisconnectPeerRequest{})
	wantStatus[*errdetails.BadRequest](t, err, codes.InvalidArgument, "peer_id")
	_, err = f.admin.DisconnectPeer(f.ctx, &gatewayv1.DisconnectPeerRequest{PeerId: 1, Detail: strings.Repeat("x", 1025)})
	wantStatus[*errdetails.BadRequest](t, err, codes.InvalidArgument, "detail")
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if got := transcript(stream); got != "EOT" {
		t.Errorf("the flow went on with %s, want EOT", got)
	}
}

// TestStreamsAreDescribed: a stream's figures are those of its messages.
func TestStreamsAreDescribed(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	stream := f.open(t, giving(4))
	awaitCredit(t, stream)
	send(t, stream, dat(&gatewayv1.Dat{Payload: [][]byte{make([]byte, 100), make([]byte, 23)}}))
	if m, err := stream.Recv(); err != nil || m.GetPay() == nil {
		t.Fatalf("got %v, %v, want PAY", m, err)
	}
	got := f.peer(t)
	if got.GetProtocol() != "HTTP/2" || got.GetMechanism() != gatewayv1.Mechanism_MECHANISM_NONE || got.GetKey() != "" ||
		got.GetBytesIn() != 123 || got.GetQueuedMessages() != 0 || got.GetQueuedBytes() != 0 ||
		time.Since(got.GetLastSeen().AsTime()).Abs() > time.Minute || got.GetLastSeen().AsTime().Before(got.GetConnected().AsTime()) {
		t.Errorf("the giver is shown as %v", got)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	transcript(stream)
	awaitNone(t, f.broker, "grpc")

	ctx, leave := context.WithCancel(f.ctx)
	defer leave() // who stays and does not read is waited for
	get, err := f.flows.Get(ctx, &gatewayv1.GetRequest{Bot: &gatewayv1.Bot{Label: `{"count":1000000000,"size":1000,"credit":2}`}})
	for range 21 { // a BOT first; the latest DATs may not have been counted yet
		if err == nil {
			_, err = get.Recv()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := f.peer(t); got.GetBytesOut() < 18*1000 || got.GetBytesIn() != 0 {
		t.Errorf("the taker is shown as %v, want 18 kB at the least that were sent", got)
	}
}

// TestMechanisms: how a stream's connection is secured is shown, with who that proves
// its peer to be.
func TestMechanisms(t *testing.T) {
	t.Parallel()
	s := newSecrets(t)
	config := s.load(t)
	config.ClientAuth = tls.VerifyClientCertIfGiven
	g := startGuarded(t, func(o *server.Options) { o.TLS = server.NewTLS(config) })
	for want, by := range map[string]struct {
		token       string
		credentials credentials.TransportCredentials
	}{
		"tls":  {"reader's token", s.client(t, s.ca, "")},
		"mtls": {"", s.client(t, s.ca, "reader")},
	} {
		client, _ := g.as(t, by.token, by.credentials)
		stream := client.open(t, taking(1))
		if m, err := stream.Recv(); err != nil || m.GetBot() == nil {
			t.Fatalf("%s: %v, %v", want, m, err)
		}
		for c := range g.broker.PeersBefore(broker.Latest, "grpc") {
			if c.Link.Mechanism != want || c.Info.Name != "reader" || c.Link.Protocol != "HTTP/2" {
				t.Errorf("%s is shown as %+v", want, c)
			}
		}
		send(t, stream, eot())
		if got := transcript(stream); !strings.HasSuffix(got, "EOT") {
			t.Errorf("%s: the flow went on with %s, want EOT", want, got)
		}
		awaitNone(t, g.broker, "grpc")
	}
}

// describedPeer is a link that counts how often anybody asks.
type describedPeer struct {
	mute
	asked *atomic.Int64
}

func (d describedPeer) Describe() transport.LinkInfo {
	d.asked.Add(1)
	return transport.LinkInfo{
		Protocol: "ZMTP 3.1", Mechanism: "CURVE", Key: "k", BytesIn: 1, BytesOut: 2, QueuedMessages: 3, QueuedBytes: 4,
		LastSeen: time.Unix(5, 0),
	}
}

// TestListingTenThousandPeers: each is on one page, and a page asks those on it, not
// all others.
func TestListingTenThousandPeers(t *testing.T) {
	t.Parallel()
	const n, size = 10_000, 250
	f := start(t, nil)
	var asked atomic.Int64
	for i := range n {
		peer := f.broker.Attach(describedPeer{asked: &asked}, transport.PeerInfo{Transport: []string{"zmq-server", "zmq-router"}[i%2]})
		defer peer.Leave("done")
	}
	request := &gatewayv1.ListPeersRequest{PageSize: size, Transport: "zmq-router"}
	next := uint64(n) // the ids of every other one, from the latest down
	for pages := 1; ; pages++ {
		page, err := f.admin.ListPeers(f.ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.GetPeers()) != size || asked.Swap(0) > size+1 {
			t.Fatalf("page %d has %d peers, and more were asked", pages, len(page.GetPeers()))
		}
		for _, peer := range page.GetPeers() {
			if peer.GetId() != next {
				t.Fatalf("peer %d, want %d", peer.GetId(), next)
			}
			next -= 2
		}
		if last := pages == n/2/size; last != (page.GetNextPageToken() == "") {
			t.Fatalf("page %d is the last one: %t", pages, !last)
		} else if last {
			got := page.GetPeers()[0]
			if got.GetProtocol() != "ZMTP 3.1" || got.GetMechanism() != gatewayv1.Mechanism_MECHANISM_CURVE || got.GetKey() != "k" ||
				got.GetBytesIn() != 1 || got.GetBytesOut() != 2 || got.GetQueuedMessages() != 3 || got.GetQueuedBytes() != 4 ||
				got.GetLastSeen().AsTime() != time.Unix(5, 0).UTC() {
				t.Errorf("a peer is shown as %v", got)
			}
			return
		}
		request.PageToken = page.GetNextPageToken()
	}
}
