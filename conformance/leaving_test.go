package main_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// TestPeerGone_BRK_15_BRK_17_BRK_23 breaks off either side, giving or taking, on
// every pair of transports. The other one learns that soon, and can go on.
func TestPeerGone_BRK_15_BRK_17_BRK_23(t *testing.T) {
	g := startGateway(t)
	l := g.listen(t, &gatewayv1.ListenRequest{Name: "all"})
	for _, clientVia := range transports {
		for _, handlerVia := range transports {
			for _, direction := range []zio.Direction{zio.Extract, zio.Inject} {
				for _, leaver := range []flow.Side{flow.Client, flow.Handler} {
					t.Run(fmt.Sprintf("%s_to_%s/%v/%v_leaves", clientVia, handlerVia, direction, leaver), func(t *testing.T) {
						f := g.openFlow(t, l, clientVia, handlerVia, direction, 4)
						f.cross(t, 2)
						left, stays := f.client, f.handler
						if leaver == flow.Handler {
							left, stays = stays, left
						}
						begin := time.Now()
						left.leave()
						m := wantEOT(t, stays, flow.PeerGone, fmt.Sprintf("the %v left", leaver))
						wantSoon(t, begin)
						want := uint64(1) // after the natives' messages, which here all have 0
						if _, numbered := left.(*grpcPeer); numbered {
							want = 3 // after the BOT and two more
						}
						if m.Seqno != want {
							t.Errorf("EOT's seqno is %d, want %d, to go on from the last message's", m.Seqno, want)
						}
						g.wantEnd(t, flow.PeerGone)
						goOn(t, l, g, stays)
						g.wantEnd(t, flow.Completed)
					})
				}
			}
		}
	}
}

// goOn has a peer open another flow (BRK-12).
func goOn(t *testing.T, l *listener, g *inProcess, p peer) {
	t.Helper()
	f := openBetween(t, l, p, g.dial(t, viaDealer), zio.Extract, 1)
	f.cross(t, 1)
	f.end(t)
}

// TestClientLeavesBeforeHandler_BRK_17: the offer of a client that has gone is
// taken back.
func TestClientLeavesBeforeHandler_BRK_17(t *testing.T) {
	g := startGateway(t)
	l := g.listen(t, &gatewayv1.ListenRequest{Name: "all"})
	onEveryTransport(t, func(t *testing.T, via transportName) {
		client, late := g.dial(t, via), g.dial(t, via)
		mustSend(t, client, botMessage(zio.Extract, 2, 0))
		cid := l.offer(t).GetCid()
		begin := time.Now()
		client.leave()
		withdrawn := l.next(t).GetWithdrawn()
		if withdrawn.GetCid() != cid || withdrawn.GetReason() != gatewayv1.EndReason_END_REASON_PEER_GONE {
			t.Errorf("the listener was told %v, want %d withdrawn because the peer has gone", withdrawn, cid)
		}
		wantSoon(t, begin)
		mustSend(t, late, botMessage(zio.Inject, 2, cid))
		wantEOT(t, late, flow.Rejected, "no offer")
		g.wantEnd(t, flow.PeerGone)
	})
}

// TestLeavesAfterEOT_BRK_10_BRK_17: who leaves after its own EOT without waiting
// for the answer leaves the other side a flow that can be completed.
func TestLeavesAfterEOT_BRK_10_BRK_17(t *testing.T) {
	g := startGateway(t)
	l := g.listen(t, &gatewayv1.ListenRequest{Name: "all"})
	onEveryTransport(t, func(t *testing.T, via transportName) {
		f := g.openFlow(t, l, via, viaDealer, zio.Extract, 4)
		f.cross(t, 2)
		mustSend(t, f.client, eotMessage())
		if m := mustRecv(t, f.handler, zio.EOT); m.End.Reason != "" {
			t.Errorf("received %s, want an EOT without error", m.Label)
		}
		f.client.leave()
		mustSend(t, f.handler, eotMessage())
		g.wantEnd(t, flow.Completed)
		goOn(t, l, g, f.handler)
		g.wantEnd(t, flow.Completed)
	})
}

// TestRestart_BRK_12_BRK_13: a BOT in the middle of a flow ends it, and begins
// another on the same socket.
func TestRestart_BRK_12_BRK_13(t *testing.T) {
	g := startGateway(t)
	l := g.listen(t, &gatewayv1.ListenRequest{Name: "all"})
	for _, via := range []transportName{viaClient, viaDealer} {
		for _, handlerVia := range transports {
			t.Run(fmt.Sprintf("%s_to_%s", via, handlerVia), func(t *testing.T) {
				f := g.openFlow(t, l, via, handlerVia, zio.Extract, 2)
				for range 3 {
					f.cross(t, 1)
					old := f.handler
					f = openBetween(t, l, f.client, g.dial(t, handlerVia), zio.Extract, 2)
					wantEOT(t, old, flow.Restarted, "the client began another flow")
					g.wantEnd(t, flow.Restarted)
				}
				f.cross(t, 1)
				f.end(t)
				g.wantEnd(t, flow.Completed)
			})
		}
	}
}

// TestSuccession_BRK_12_BRK_14: many flows one after the other on one pair of
// sockets, in which the peers change their parts.
func TestSuccession_BRK_12_BRK_14(t *testing.T) {
	g := startGateway(t)
	l := g.listen(t, &gatewayv1.ListenRequest{Name: "all"})
	onEveryTransport(t, func(t *testing.T, via transportName) {
		one, two := g.dial(t, via), g.dial(t, viaClient)
		for n := range 50 {
			direction := []zio.Direction{zio.Extract, zio.Inject}[n/2%2]
			f := openBetween(t, l, one, two, direction, int64(1+n%3))
			f.cross(t, n%4)
			f.end(t)
			if via != viaGRPC { // which has a stream for every flow
				mustSend(t, two, datMessage([]byte("late"))) // belongs to no flow any more
			}
			g.wantEnd(t, flow.Completed)
			one, two = two, one
		}
	})
}

// TestTooLarge_MSG_13: a message above the limit, however far, ends its flow for that
// reason on both sides, and its sender can begin anew. With libzmq one far above it
// costs a native peer its connection.
func TestTooLarge_MSG_13(t *testing.T) {
	const limit = 1 << 20
	g := startGateway(t, func(s *settings) {
		s.MaxMessage = limit
	})
	l := g.listen(t, &gatewayv1.ListenRequest{Name: "all"})
	for _, size := range []int{limit, limit + 1, 20 * limit} {
		for _, via := range transports {
			t.Run(fmt.Sprintf("%s/%d", via, size), func(t *testing.T) {
				honest := g.openFlow(t, l, via, via, zio.Extract, 2)
				f := g.openFlow(t, l, via, viaDealer, zio.Extract, 2)
				mustSend(t, f.taker, payMessage(2))
				mustRecv(t, f.giver, zio.PAY)
				mustSend(t, f.giver, datMessage(make([]byte, size-1), []byte{1}))
				switch {
				case size == limit:
					if m := mustRecv(t, f.taker, zio.DAT); m.Size() != limit {
						t.Errorf("received %d bytes, want %d", m.Size(), limit)
					}
					f.end(t)
					g.wantEnd(t, flow.Completed)
				case size == limit+1, via != viaGRPC && engine() == "zmtp":
					wantEOT(t, f.taker, flow.MessageTooLarge, "1048576 are allowed")
					wantEOT(t, f.giver, flow.MessageTooLarge, "1048576 are allowed")
					g.wantEnd(t, flow.MessageTooLarge)
					goOn(t, l, g, f.giver)
					g.wantEnd(t, flow.Completed)
				case via == viaGRPC: // grpc-go itself ends the stream
					wantEOT(t, f.taker, flow.MessageTooLarge, "larger than max")
					if _, err := f.giver.recv(); status.Code(err) != codes.ResourceExhausted {
						t.Errorf("the giver's stream ended with %v, want ResourceExhausted", err)
					}
					g.wantEnd(t, flow.MessageTooLarge)
				default: // libzmq cuts the connection
					wantEOT(t, f.taker, flow.PeerGone, "the client left")
					g.wantEnd(t, flow.PeerGone)
				}
				honest.cross(t, 1)
				honest.end(t)
				g.wantEnd(t, flow.Completed)
			})
		}
	}
}
