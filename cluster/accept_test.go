package cluster_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// refusal is how a BOT with that cid is refused at the node.
func (n *node) refusal(cid uint64) string {
	n.t.Helper()
	s := n.open(&gatewayv1.Bot{Cid: cid, Direction: inject, Credit: 1})
	_, err := s.Recv()
	return fmt.Sprint(status.Convert(err).Proto())
}

// TestCidElsewhere: a cid may be shown at any node, once; whatever is wrong with one, nothing
// can be guessed from the answer. The sides keep their parts, and their names, at all nodes.
func TestCidElsewhere(t *testing.T) {
	t.Parallel()
	a, b, c, l := trio(t, &gatewayv1.ListenRequest{Name: "raw"})
	bot := &gatewayv1.Bot{Direction: extract, Credit: 3, Label: `{"flow":"BOT","stream":"raw"}`}
	client := a.open(bot)
	cid := l.next().GetCid()
	unknown := c.refusal(1 << 42)
	for what, other := range map[string]uint64{"guessed": cid ^ 1, "of no node": cid ^ 3<<43} {
		if got := c.refusal(other); got != unknown {
			t.Errorf("a cid that is %s is refused with\n%s\nan unknown one with\n%s", what, got, unknown)
		}
	}
	handler := c.open(&gatewayv1.Bot{Cid: cid, Direction: inject, Credit: 2, Label: `{"flow":"BOT","by":"c"}`})
	if got := handler.next().GetBot(); got.GetCredit() != 2 || got.GetDirection() != extract || got.GetCid() != 0 || got.GetAttributes().GetFields()["by"] == nil {
		t.Errorf("the handler is answered %v", got)
	}
	if by := client.next().GetBot().GetTakenBy(); by.GetNode() != "b" || by.GetTransport() != "grpc" {
		t.Errorf("the client is told that it is with %v", by)
	}
	for _, n := range []*node{a, b, c} {
		if got := n.refusal(cid); got != unknown {
			t.Errorf("a cid that was used is refused at %s with\n%s\nan unknown one with\n%s", n.name, got, unknown)
		}
	}
	flows := c.Broker().Flows()
	if len(flows) != 1 || flows[0].Client.Node != "a" || flows[0].Handler.Node != "" || flows[0].Credit != 2 || string(flows[0].Label) == "" {
		t.Errorf("the flows at c are %+v", flows)
	}
	handler.pay(1)
	if got := client.next().GetPay().GetCredit(); got != 1 {
		t.Errorf("the client was paid %d", got)
	}
	client.dat("here")
	if got := string(handler.next().GetDat().GetPayload()[0]); got != "here" {
		t.Errorf("the handler got %q", got)
	}
	handler.cancel()
	if reason, detail := client.ends(); reason != gatewayv1.EndReason_END_REASON_PEER_GONE || detail != "the handler left: stream cancelled" {
		t.Errorf("the client was told %v %q", reason, detail)
	}

	t.Run("declined", func(t *testing.T) {
		client := a.open(bot)
		cid := l.next().GetCid()
		decline := func() error {
			_, err := gatewayv1.NewHandlerServiceClient(c.conn).Decline(t.Context(), &gatewayv1.DeclineRequest{Cid: cid, Detail: "not today"})
			return err
		}
		if err := decline(); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Recv(); status.Convert(err).Message() != "rejected: not today" {
			t.Errorf("the client was told %v", err)
		}
		if err := decline(); status.Code(err) != codes.NotFound {
			t.Errorf("declined again: %v", err)
		}
	})
	t.Run("wrong direction", func(t *testing.T) {
		client := a.open(bot)
		handler := c.open(&gatewayv1.Bot{Cid: l.next().GetCid(), Direction: extract, Credit: 2})
		const want = "the handler's direction is extract like the client's"
		if _, err := handler.Recv(); status.Convert(err).Message() != "protocol_error: "+want {
			t.Errorf("the handler was told %v", err)
		}
		if _, err := client.Recv(); status.Convert(err).Message() != "protocol_error: "+want {
			t.Errorf("the client was told %v", err)
		}
	})
	t.Run("draining", func(t *testing.T) {
		client := a.open(bot)
		cid := l.next().GetCid()
		c.Broker().Drain()
		handler := c.open(&gatewayv1.Bot{Cid: cid, Direction: inject, Credit: 2})
		if _, err := handler.Recv(); status.Code(err) != codes.Unavailable {
			t.Errorf("the handler at a node that drains was told %v", err)
		}
		handler = a.open(&gatewayv1.Bot{Cid: cid, Direction: inject, Credit: 2})
		handler.next()
		client.next()
		client.eot()
		handler.ends()
		handler.eot()
	})
	t.Run("gone", func(t *testing.T) {
		client := a.open(bot)
		cid := l.next().GetCid()
		b.stop()
		a.knows(1, 0)
		if got := a.refusal(cid); got != unknown {
			t.Errorf("a cid of a node that has gone is refused with\n%s\nan unknown one with\n%s", got, unknown)
		}
		client.cancel()
	})
}

// TestCidRights: who may take what is offered is as with one gateway: whom it was offered to,
// and whose right takes a flow like this.
func TestCidRights(t *testing.T) {
	t.Parallel()
	text := "identities:\n"
	for _, name := range []string{"anna", "ben", "carl"} {
		text += fmt.Sprintf("- {name: %s, roles: [client, handler, admin], tokens: [{sha256: %x}]", name, sha256.Sum256([]byte(token(name))))
		if name == "ben" {
			text += `, limits: {attributes: 'attributes.stream == "other"'}`
		}
		text += "}\n"
	}
	path := filepath.Join(t.TempDir(), "identities.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	start := func(name string, join ...*node) *node {
		c := r.config(name, join...)
		c.Security.Identities = path
		c.ZMQ.Servers, c.ZMQ.Routers = nil, nil
		return r.run(c)
	}
	a := start("a")
	c := start("c", a)
	a.knows(1, 0)
	c.knows(1, 0)
	as := func(n *node, name string, bot *gatewayv1.Bot) *stream {
		ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token(name)), patience)
		t.Cleanup(cancel)
		s, err := gatewayv1.NewFlowServiceClient(n.conn).Open(ctx)
		if err != nil {
			t.Fatal(err)
		}
		x := &stream{t, s, cancel}
		x.send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Bot{Bot: bot}})
		return x
	}
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token("anna")))
	defer cancel()
	listener, err := gatewayv1.NewHandlerServiceClient(a.conn).Listen(ctx, &gatewayv1.ListenRequest{Name: "raw"})
	if err == nil {
		_, err = listener.Recv()
	}
	if err != nil {
		t.Fatal(err)
	}
	client := as(a, "carl", &gatewayv1.Bot{Direction: extract, Credit: 1, Label: `{"flow":"BOT","stream":"raw"}`})
	event, err := listener.Recv()
	if err != nil {
		t.Fatal(err)
	}
	take := &gatewayv1.Bot{Cid: event.GetOffer().GetCid(), Direction: inject, Credit: 1}
	for name, want := range map[string]string{"carl": "the cid was offered to somebody else", "ben": "a flow with these attributes"} {
		if _, err := as(c, name, take).Recv(); !strings.Contains(fmt.Sprint(err), "rejected: not allowed: "+want) {
			t.Errorf("%s is told %v, want %s", name, err, want)
		}
	}
	handler := as(c, "anna", take)
	handler.next()
	if by := client.next().GetBot().GetTakenBy(); by.GetName() != "anna" || by.GetNode() != "c" {
		t.Errorf("the client is told that it is with %v", by)
	}
}

// token is the token of a name.
func token(name string) string { return name + strings.Repeat("x", 32) }

// TestCidOfFrozen: a node that does not answer is no reason to wait for longer than an offer
// stands.
func TestCidOfFrozen(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.start("a")
	b := r.spawn(r.config("b", a).Cluster, nil)
	b.dial()
	l := b.listen(&gatewayv1.ListenRequest{Name: "raw"})
	a.knows(1, 1)
	a.open(&gatewayv1.Bot{Direction: extract, Credit: 3})
	cid := l.next().GetCid()
	b.signal(syscall.SIGSTOP)
	defer b.signal(syscall.SIGCONT)
	began := time.Now()
	got := a.refusal(cid)
	if want := a.refusal(1 << 42); got != want {
		t.Errorf("a cid of a node that is frozen is refused with\n%s\nan unknown one with\n%s", got, want)
	}
	t.Logf("refused after %v", time.Since(began))
}
