package main_test

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
)

// activeFlow is a flow with both its peers, used by one goroutine.
type activeFlow struct {
	client, handler peer
	giver, taker    peer
	cid             uint64
	credit          int64
	crossed         int
}

// openFlow opens a flow between two new peers.
func (g *inProcess) openFlow(t *testing.T, l *listener, client, handler transportName, direction zio.Direction, credit int64) *activeFlow {
	t.Helper()
	return openBetween(t, l, g.dial(t, client), g.dial(t, handler), direction, credit)
}

func openBetween(t *testing.T, l *listener, client, handler peer, direction zio.Direction, credit int64) *activeFlow {
	t.Helper()
	f := &activeFlow{client: client, handler: handler, giver: client, taker: handler, credit: credit}
	if direction == zio.Inject {
		f.giver, f.taker = handler, client
	}
	mustSend(t, client, botMessage(direction, credit, 0))
	f.cid = l.offer(t).GetCid()
	mustSend(t, handler, botMessage(direction.Reverse(), credit, f.cid))
	mustRecv(t, handler, zio.BOT)
	mustRecv(t, client, zio.BOT)
	return f
}

// cross has DATs cross one by one, each paid for.
func (f *activeFlow) cross(t *testing.T, count int) {
	t.Helper()
	for range count {
		f.crossed++
		mustSend(t, f.taker, payMessage(1))
		mustRecv(t, f.giver, zio.PAY)
		sent := datMessage([]byte{byte(f.crossed)}, make([]byte, f.crossed))
		mustSend(t, f.giver, sent)
		if got := mustRecv(t, f.taker, zio.DAT); hashOf(got.Payload) != hashOf(sent.Payload) {
			t.Fatalf("DAT %d: payload is %q, want %q", f.crossed, got.Payload, sent.Payload)
		}
	}
}

// end ends the flow in the normal way, the client first.
func (f *activeFlow) end(t *testing.T) {
	t.Helper()
	mustSend(t, f.client, eotMessage())
	mustRecv(t, f.handler, zio.EOT)
	mustSend(t, f.handler, eotMessage())
	mustRecv(t, f.client, zio.EOT)
	if err := errors.Join(f.client.finish(true), f.handler.finish(true)); err != nil {
		t.Error(err)
	}
}

// statuses are the codes with which a gRPC peer's stream ends. UNAVAILABLE and
// a few others mean that it may try again.
var statuses = map[flow.Reason]codes.Code{
	flow.Rejected:        codes.FailedPrecondition,
	flow.NoHandler:       codes.Unavailable,
	flow.HandlerTimeout:  codes.DeadlineExceeded,
	flow.PeerGone:        codes.Aborted,
	flow.CreditViolation: codes.FailedPrecondition,
	flow.ProtocolError:   codes.InvalidArgument,
	flow.MessageTooLarge: codes.ResourceExhausted,
	flow.Restarted:       codes.Aborted,
	flow.EOTTimeout:      codes.DeadlineExceeded,
	flow.EndedByAdmin:    codes.Aborted,
	flow.Draining:        codes.Unavailable,
}

// wantEOT receives an EOT of the gateway's own for that reason, with a detail
// that contains some words (BRK-8). A gRPC peer must see the same in its status.
func wantEOT(t *testing.T, p peer, want flow.Reason, words string) *message {
	t.Helper()
	m := mustRecv(t, p, zio.EOT)
	checkOwnEOT(t, m, want, words)
	if g, ok := p.(*grpcPeer); ok {
		if int(g.reason) != int(want) {
			t.Errorf("Eot.reason is %v, want %v", g.reason, want)
		}
		_, err := p.recv()
		checkStatus(t, err, want, m.End.Detail)
	}
	return m
}

func checkOwnEOT(t *testing.T, m *message, want flow.Reason, words string) {
	t.Helper()
	if m.End.Reason != want.String() || !strings.Contains(m.End.Detail, words) {
		t.Errorf("received %s, want error %q and %q in the detail", m.Label, want, words)
	}
	label := parseLabel(t, string(m.Label))
	for key := range label {
		if key != "flow" && key != "error" && key != "detail" {
			t.Errorf("the EOT's label %s has the key %s, want flow, error and detail alone", m.Label, key)
		}
	}
	if len(m.Payload) > 0 {
		t.Errorf("the EOT has payload %q, want none", m.Payload)
	}
}

// checkStatus checks the status with its google.rpc details.
func checkStatus(t *testing.T, err error, reason flow.Reason, detail string) {
	t.Helper()
	s := status.Convert(err)
	if s.Code() != statuses[reason] || !strings.Contains(s.Message(), detail) {
		t.Errorf("stream ended with %v, want %v and %q", err, statuses[reason], detail)
	}
	var info *errdetails.ErrorInfo
	retry := false
	for _, d := range s.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			info = d
		case *errdetails.RetryInfo:
			retry = true
		}
	}
	if info.GetDomain() != "gateway.zioflow" || info.GetReason() != strings.ToUpper(reason.String()) {
		t.Errorf("status has ErrorInfo %v, want domain gateway.zioflow and reason %s", info, strings.ToUpper(reason.String()))
	}
	if retry != reason.Retry() {
		t.Errorf("status of %v has RetryInfo: %t, want %t", reason, retry, reason.Retry())
	}
}
