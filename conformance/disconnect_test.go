package main_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// peerIn is the peer of that transport that takes part in the flow.
func (p *program) peerIn(t *testing.T, via transportName, id uint64) *gatewayv1.ConnectedPeer {
	t.Helper()
	var r gatewayv1.ListPeersResponse
	p.operate(t, "ListPeers", fmt.Sprintf(`{"transport":"%s"}`, via.name()), &r)
	for _, peer := range r.GetPeers() {
		if peer.GetFlowId() == id {
			return peer
		}
	}
	t.Fatalf("nobody among %v is in flow %d", &r, id)
	return nil
}

// TestAdminDisconnects: a client of each kind is shown with its connection, and
// disconnected: it and its handler are told why. It may come back.
func TestAdminDisconnects(t *testing.T) {
	notWithLibzmq(t, "cannot end one connection")
	p := serve(t, []string{"--no-default-routes"}, nil)
	l := p.listen(t, &gatewayv1.ListenRequest{Name: "any"})
	for i, kinds := range [][2]transportName{{viaClient, viaDealer}, {viaDealer, viaGRPC}, {viaGRPC, viaClient}} {
		f := p.openFlow(t, l, kinds[0], kinds[1], zio.Extract, 4)
		f.cross(t, 3)
		id := uint64(2*i + 1)
		peer := p.peerIn(t, kinds[0], id)
		want := "ZMTP 3.1"
		if kinds[0] == viaGRPC {
			want = "HTTP/2"
		}
		if peer.GetProtocol() != want || peer.GetMechanism() != gatewayv1.Mechanism_MECHANISM_NONE || peer.GetKey() != "" ||
			peer.GetBytesIn() == 0 || peer.GetQueuedMessages() != 0 || time.Since(peer.GetLastSeen().AsTime()).Abs() > time.Minute {
			t.Errorf("the %s is shown as %v", kinds[0], peer)
		}
		var r gatewayv1.DisconnectPeerResponse
		p.operate(t, "DisconnectPeer", fmt.Sprintf(`{"peer_id":"%d","detail":"wrong run"}`, peer.GetId()), &r)
		if r.GetPeer().GetId() != peer.GetId() || r.GetPeer().GetFlowId() != id {
			t.Errorf("DisconnectPeer answers %v", &r)
		}
		wantEOT(t, f.client, flow.EndedByAdmin, "wrong run")
		wantEOT(t, f.handler, flow.EndedByAdmin, "wrong run")
		p.log.waitFor(t, fmt.Sprintf(`msg="peer disconnected" peer="%s`, kinds[0].name()))
		eventually(t, "the peer's end", func() error {
			var left gatewayv1.ListPeersResponse
			p.operate(t, "ListPeers", "{}", &left)
			for _, other := range left.GetPeers() {
				if other.GetId() == peer.GetId() {
					return fmt.Errorf("it is still there: %v", other)
				}
			}
			return nil
		})
		mustSend(t, f.client, botMessage(zio.Extract, 2, 0)) // a socket connects again by itself
		if _, err := l.handlers.Decline(t.Context(), &gatewayv1.DeclineRequest{Cid: l.offer(t).GetCid()}); err != nil {
			t.Fatal(err)
		}
		wantEOT(t, f.client, flow.Rejected, "declined")
		l.next(t) // withdrawn
	}
	again := p.grpcurl(t, adminService+"DisconnectPeer")
	again.ask(t, `{"peer_id":77777}`)
	again.end(t, 64+5, `"resourceName": "77777"`)
	s := p.scrape(t)
	for _, front := range []string{"zmq-server", "zmq-router"} {
		if n := s[`zio_gateway_zmq_connections_ended_total{cause="admin",endpoint="`+front+`"}`]; n != 1 {
			t.Errorf("%v connections of %s were ended by an operator, want 1", n, front)
		}
	}
}

// TestKeysAreShown: who has proved a key is shown with it and the name that belongs
// to it, and how; and so it stands in the log of its end.
func TestKeysAreShown(t *testing.T) {
	notWithLibzmq(t, "cannot end one connection")
	s := serveSecured(t)
	admin := gatewayv1.NewAdminServiceClient(s.conn(t, "boss"))
	p := s.native(t, viaDealer, "writer")
	mustSend(t, p, botMessage(zio.Inject, 2, 0))
	mustRecv(t, p, zio.BOT)
	r, err := admin.ListPeers(withToken(t, ""), &gatewayv1.ListPeersRequest{Transport: "zmq-router"})
	if err != nil || len(r.GetPeers()) != 1 {
		t.Fatalf("peers: %v, %v", r, err)
	}
	peer := r.GetPeers()[0]
	if peer.GetMechanism() != gatewayv1.Mechanism_MECHANISM_CURVE || peer.GetPeer().GetName() != "writer" ||
		peer.GetKey() != s.read(t, "writer.curve.pub") || !strings.HasPrefix(peer.GetProtocol(), "ZMTP 3.") {
		t.Errorf("the peer is shown as %v", peer)
	}
	ask := &gatewayv1.DisconnectPeerRequest{PeerId: peer.GetId()}
	if _, err := gatewayv1.NewAdminServiceClient(s.conn(t, "writer")).DisconnectPeer(withToken(t, ""), ask); err == nil {
		t.Error("a client has disconnected somebody")
	}
	if _, err := admin.DisconnectPeer(withToken(t, ""), ask); err != nil {
		t.Fatal(err)
	}
	wantEOT(t, p, flow.EndedByAdmin, "an operator disconnected the peer")
	s.wantLine(t, "peer disconnected", `peer="zmq-router writer `, `by="grpc boss `)
}
