package cluster_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

const inject, extract = gatewayv1.Direction_DIRECTION_INJECT, gatewayv1.Direction_DIRECTION_EXTRACT

// pair is two nodes that know each other, and a listener at the second.
func pair(t *testing.T, request *gatewayv1.ListenRequest) (a, b *node, l *listening) {
	t.Helper()
	r := newRig(t)
	a = r.start("a")
	b = r.start("b", a)
	l = b.listen(request)
	a.knows(1, 1)
	return a, b, l
}

// trio is pair with a third node; each of the three is connected to the others.
func trio(t *testing.T, request *gatewayv1.ListenRequest) (a, b, c *node, l *listening) {
	t.Helper()
	r := newRig(t)
	a = r.start("a")
	b, c = r.start("b", a), r.start("c", a)
	l = b.listen(request)
	a.knows(2, 1)
	c.knows(2, 1)
	b.knows(2, 0)
	a.reach(b, c)
	b.reach(a, c)
	c.reach(a, b)
	return a, b, c, l
}

// TestCarriedFlow: labels, coordinates and payload cross two nodes as they came, credit is
// the taker's, and each node says where the other side is.
func TestCarriedFlow(t *testing.T) {
	t.Parallel()
	a, b, l := pair(t, &gatewayv1.ListenRequest{Name: "raw", Match: "attributes.stream == 'raw'"})
	const label = `{"flow":"BOT","stream":"raw","big":12345678901234567890,"direction":"extract","credit":2}`
	client := a.open(&gatewayv1.Bot{Label: label, Payload: [][]byte{[]byte("head")}, Origin: 7, Granule: 99, Level: 3})
	offer := l.next()
	if peer := offer.GetPeer(); peer.GetNode() != "a" || peer.GetTransport() != "grpc" || !strings.HasPrefix(peer.GetAddress(), "127.0.0.1:") {
		t.Errorf("the offer says that the client is %v", peer)
	}
	if bot := offer.GetBot(); bot.GetOrigin() != 7 || bot.GetGranule() != 99 || bot.GetLevel() != 3 || string(bot.GetPayload()[0]) != "head" ||
		!strings.Contains(bot.GetLabel(), `"big":12345678901234567890`) {
		t.Errorf("offered was %v", bot)
	}
	handler := b.open(&gatewayv1.Bot{Cid: offer.GetCid(), Direction: inject, Credit: 5, Origin: 8})
	handler.next()
	reply := client.next().GetBot()
	if by := reply.GetTakenBy(); by.GetNode() != "b" || by.GetRoute() != "raw" || by.GetTransport() != "grpc" {
		t.Errorf("the client is told that it is with %v", by)
	}
	if reply.GetCredit() != 2 || reply.GetOrigin() != 8 || reply.GetCid() != 0 {
		t.Errorf("the client was answered %v", reply)
	}
	handler.pay(2)
	if credit := client.next().GetPay().GetCredit(); credit != 2 {
		t.Errorf("the client was paid %d, want 2", credit)
	}
	for _, text := range []string{"one", "two"} {
		client.send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Dat{Dat: &gatewayv1.Dat{
			Label: `{"flow":"DAT","n":1e3}`, Payload: [][]byte{[]byte(text), nil}, Origin: 9, Granule: 5, Level: 1,
		}}})
	}
	for i, text := range []string{"one", "two"} {
		dat := handler.next().GetDat()
		if string(dat.GetPayload()[0]) != text || len(dat.GetPayload()) != 2 || dat.GetLabel() != `{"flow":"DAT","n":1e3}` ||
			dat.GetOrigin() != 9 || dat.GetGranule() != 5 || dat.GetLevel() != 1 || dat.GetSeqno() != uint64(i+1) {
			t.Errorf("the handler was given %v", dat)
		}
	}
	client.eot()
	if reason, _ := handler.ends(); reason != gatewayv1.EndReason_END_REASON_UNSPECIFIED {
		t.Errorf("the handler was told %v, want the client's EOT", reason)
	}
	handler.eot()
	if reason, _ := client.ends(); reason != gatewayv1.EndReason_END_REASON_COMPLETED {
		t.Errorf("the client was told %v", reason)
	}
	for _, n := range []*node{a, b} {
		until(t, "the flow has completed at "+n.name, func() bool {
			s := n.Broker().Stats()
			return s.Opened == 1 && s.Ended[1] == 1 && s.Queued == 0 && n.Broker().Held() == 0
		})
	}
}

// TestOwnListenersFirst: a flow stays at its node while a listener there has room, goes to
// the other when it has not, and back.
func TestOwnListenersFirst(t *testing.T) {
	t.Parallel()
	a, b, far := pair(t, &gatewayv1.ListenRequest{Name: "raw"})
	near := a.listen(&gatewayv1.ListenRequest{Name: "raw", MaxFlows: 1})
	b.knows(1, 1)
	bot := &gatewayv1.Bot{Direction: extract, Credit: 1}
	first := a.open(bot)
	near.next()
	a.open(bot)
	if peer := far.next().GetPeer(); peer.GetNode() != "a" {
		t.Errorf("the second flow is from %v", peer)
	}
	if err := first.CloseSend(); err != nil { // which ends it: nobody has accepted
		t.Fatal(err)
	}
	b.open(bot) // its own, which has no bound
	if peer := far.next().GetPeer(); peer.GetNode() != "" {
		t.Errorf("the flow of b is from %v", peer)
	}
}

// TestEndsCross: whatever ends a flow at one node ends it at the other, for the same reason.
func TestEndsCross(t *testing.T) {
	t.Parallel()
	a, b, l := pair(t, &gatewayv1.ListenRequest{Name: "raw"})
	begin := func() (client, handler *stream) {
		client = a.open(&gatewayv1.Bot{Direction: extract, Credit: 3})
		handler = b.open(&gatewayv1.Bot{Cid: l.next().GetCid(), Direction: inject, Credit: 3})
		handler.next()
		client.next()
		return client, handler
	}
	t.Run("the client violates its credit", func(t *testing.T) {
		client, handler := begin()
		client.dat("not paid for")
		if reason, _ := handler.ends(); reason != gatewayv1.EndReason_END_REASON_CREDIT_VIOLATION {
			t.Errorf("the handler was told %v", reason)
		}
	})
	t.Run("an operator ends it at the handler's node", func(t *testing.T) {
		client, handler := begin()
		for f := range b.Broker().FlowsBefore(1 << 60) {
			if !f.Over() {
				if _, err := b.Broker().EndFlow(f.ID(), "enough"); err != nil {
					t.Error(err)
				}
			}
		}
		for who, s := range map[string]*stream{"client": client, "handler": handler} {
			if reason, detail := s.ends(); reason != gatewayv1.EndReason_END_REASON_ENDED_BY_ADMIN || detail != "enough" {
				t.Errorf("the %s was told %v %q", who, reason, detail)
			}
		}
	})
	t.Run("the handler leaves", func(t *testing.T) {
		client, handler := begin()
		handler.cancel()
		if reason, detail := client.ends(); reason != gatewayv1.EndReason_END_REASON_PEER_GONE || detail != "the handler left: stream cancelled" {
			t.Errorf("the client was told %v %q", reason, detail)
		}
	})
	t.Run("the handler declines", func(t *testing.T) {
		client := a.open(&gatewayv1.Bot{Direction: extract, Credit: 3})
		offer := l.next()
		if _, err := gatewayv1.NewHandlerServiceClient(b.conn).Decline(t.Context(), &gatewayv1.DeclineRequest{Cid: offer.GetCid(), Detail: "not today"}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Recv(); status.Code(err) != codes.FailedPrecondition || !strings.HasSuffix(err.Error(), "rejected: not today") {
			t.Errorf("the client was told %v", err)
		}
	})
	t.Run("the client leaves before it is accepted", func(t *testing.T) {
		client := a.open(&gatewayv1.Bot{Direction: extract, Credit: 3})
		offer := l.next()
		client.cancel()
		for w := range l.withdrawn {
			if w.GetCid() == offer.GetCid() { // not the one that was declined
				break
			}
		}
	})
}

// TestFullElsewhere: the listener's own node decides what is full; the flow then goes to
// the next node, or waits.
func TestFullElsewhere(t *testing.T) {
	t.Parallel()
	a, b, l := pair(t, &gatewayv1.ListenRequest{Name: "raw", MaxFlows: 1})
	bot := &gatewayv1.Bot{Direction: extract, Credit: 1}
	first := b.open(bot)
	handler := b.open(&gatewayv1.Bot{Cid: l.next().GetCid(), Direction: inject, Credit: 1})
	handler.next()
	a.open(bot) // waits: perhaps it is tried before a knows
	select {
	case o := <-l.offers:
		t.Fatalf("a full listener was offered %v", o)
	default:
	}
	first.next()
	first.eot()
	handler.ends()
	handler.eot()
	if peer := l.next().GetPeer(); peer.GetNode() != "a" {
		t.Errorf("offered was a flow of %v", peer)
	}
}
