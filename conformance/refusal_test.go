package main_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// onEveryTransport runs a test with a client of each.
func onEveryTransport(t *testing.T, test func(t *testing.T, via transportName)) {
	for _, via := range transports {
		t.Run(string(via), func(t *testing.T) { test(t, via) })
	}
}

func TestNoHandler_FLOW_5_BRK_7_BRK_8(t *testing.T) {
	g := startGateway(t, func(s *settings) { s.HandlerWait = 0 })
	onEveryTransport(t, func(t *testing.T, via transportName) {
		client := g.dial(t, via)
		for range 2 { // one after the other on one socket
			begin := time.Now()
			mustSend(t, client, flowMessage(`{"flow":"BOT","direction":"extract","credit":2,"cid_of":"x"}`, []byte("payload")))
			m := wantEOT(t, client, flow.NoHandler, "no handler takes this BOT: 2 routes and 0 listeners were asked")
			wantSoon(t, begin)
			if m.Seqno != 0 {
				t.Errorf("EOT's seqno is %d, want 0: it is the first message to the client", m.Seqno)
			}
			g.wantEnd(t, flow.NoHandler)
		}
	})
}

func TestDeclined_FLOW_5_BRK_7_BRK_8(t *testing.T) {
	g := startGateway(t)
	l := g.listen(t, &gatewayv1.ListenRequest{Name: "picky"})
	onEveryTransport(t, func(t *testing.T, via transportName) {
		client, late := g.dial(t, via), g.dial(t, via)
		mustSend(t, client, botMessage(zio.Inject, 2, 0))
		cid := l.offer(t).GetCid()
		begin := time.Now()
		l.mustDecline(t, cid, codes.OK, "not today: \"ü\"")
		wantEOT(t, client, flow.Rejected, `not today: "ü"`)
		wantSoon(t, begin)
		g.wantEnd(t, flow.Rejected)
		if withdrawn := l.next(t).GetWithdrawn(); withdrawn.GetCid() != cid {
			t.Errorf("after declining %d the listener was told %v, want it withdrawn", cid, withdrawn)
		}
		l.mustDecline(t, cid, codes.NotFound, "again")
		mustSend(t, late, botMessage(zio.Extract, 2, cid))
		wantEOT(t, late, flow.Rejected, "no offer")
	})
}

func TestHandlerTimeout_BRK_5_BRK_7(t *testing.T) {
	const deadline = 300 * time.Millisecond
	g := startGateway(t, func(s *settings) { s.PendingTimeout = deadline })
	l := g.listen(t, &gatewayv1.ListenRequest{Name: "sleepy"})
	onEveryTransport(t, func(t *testing.T, via transportName) {
		client, late := g.dial(t, via), g.dial(t, via)
		begin := time.Now()
		mustSend(t, client, botMessage(zio.Extract, 2, 0))
		offer := l.offer(t)
		if left := time.Until(offer.GetDeadline().AsTime()); left > deadline {
			t.Errorf("the offer's deadline is %v away, want at most %v", left, deadline)
		}
		wantEOT(t, client, flow.HandlerTimeout, "sleepy")
		if took := time.Since(begin); took < deadline || took > deadline+soon {
			t.Errorf("the EOT came after %v, want it after %v", took, deadline)
		}
		g.wantEnd(t, flow.HandlerTimeout)
		withdrawn := l.next(t).GetWithdrawn()
		if withdrawn.GetCid() != offer.GetCid() || withdrawn.GetReason() != gatewayv1.EndReason_END_REASON_HANDLER_TIMEOUT {
			t.Errorf("the listener was told %v, want %d withdrawn for the timeout", withdrawn, offer.GetCid())
		}
		mustSend(t, late, botMessage(zio.Inject, 2, offer.GetCid()))
		wantEOT(t, late, flow.Rejected, "no offer")
	})
}

// TestCID_BRK_5_BRK_6: cids that were never given or are spent get EOT, while a
// flow is pending and another one active, which both go on.
func TestCID_BRK_5_BRK_6(t *testing.T) {
	g := startGateway(t)
	l := g.listen(t, &gatewayv1.ListenRequest{Name: "all"})
	onEveryTransport(t, func(t *testing.T, via transportName) {
		active := g.openFlow(t, l, viaDealer, via, zio.Extract, 2)
		waiting, handler := g.dial(t, viaClient), g.dial(t, via)
		mustSend(t, waiting, botMessage(zio.Extract, 2, 0))
		cid := l.offer(t).GetCid()

		for _, wrong := range []uint64{active.cid, cid + 1, cid - 1, 1, 1804289383, 1<<53 - 1, 1 << 53, 1<<63 - 1} {
			intruder := g.dial(t, via)
			mustSend(t, intruder, botMessage(zio.Inject, 2, wrong))
			wantEOT(t, intruder, flow.Rejected, "no offer")
		}
		active.cross(t, 3)
		mustSend(t, handler, botMessage(zio.Inject, 2, cid))
		mustRecv(t, handler, zio.BOT)
		mustRecv(t, waiting, zio.BOT)
		active.end(t)
		waiting.leave()
		wantEOT(t, handler, flow.PeerGone, "client")
		g.wantEnd(t, flow.Completed)
		g.wantEnd(t, flow.PeerGone)
	})
}

// TestStray_BRK_18: who speaks of a flow that the gateway does not know, as
// after its restart, is told once.
func TestStray_BRK_18(t *testing.T) {
	g := startGateway(t, withDefaultRoutes)
	for _, via := range []transportName{viaClient, viaDealer} {
		for _, stray := range []*zio.Message{datMessage([]byte("data")), payMessage(3)} {
			t.Run(fmt.Sprintf("%s/%s", via, stray.Label), func(t *testing.T) {
				p := g.dial(t, via)
				mustSend(t, p, eotMessage()) // is owed no answer
				for range 3 {
					mustSend(t, p, stray)
				}
				m := mustRecv(t, p, zio.EOT)
				if m.End.Reason != "unknown flow" {
					t.Errorf("received %s, want error \"unknown flow\"", m.Label)
				}
				mustSend(t, p, eotMessage()) // as natives answer
				mustSend(t, p, botMessage(zio.Inject, 1, 0))
				mustRecv(t, p, zio.BOT) // which proves that there was one EOT
			})
		}
	}
	t.Run("gRPC", func(t *testing.T) {
		p := g.dial(t, viaGRPC).(*grpcPeer)
		stream, err := gatewayv1.NewFlowServiceClient(p.conn).Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.stream = stream
		mustSend(t, p, datMessage([]byte("data")))
		if _, err := p.recv(); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "bot") {
			t.Errorf("a stream that begins with DAT ended with %v, want InvalidArgument for bot", err)
		}
	})
}

func wantSoon(t *testing.T, begin time.Time) {
	t.Helper()
	if took := time.Since(begin); took > soon {
		t.Errorf("it took %v, want less than %v", took, soon)
	}
}

// mustDecline declines an offer and checks the status.
func (l *listener) mustDecline(t *testing.T, cid uint64, want codes.Code, detail string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := l.handlers.Decline(ctx, &gatewayv1.DeclineRequest{Cid: cid, Detail: detail})
	if status.Code(err) != want {
		t.Fatalf("Decline answered %v, want %v", err, want)
	}
}
