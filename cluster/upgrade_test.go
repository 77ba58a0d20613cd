package cluster_test

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/zioflow/gateway/cluster/members"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// TestVersions: nodes of two versions of the protocol that follow each other are one cluster,
// in which flows go both ways; those further apart do not take each other in.
func TestVersions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.start("a")
	speaking := func(name string, protocol int) *process {
		p := r.spawn(r.config(name, a).Cluster, func(c *exec.Cmd) {
			c.Env = append(c.Env, fmt.Sprintf("%s=%d", protocolVariable, protocol))
		})
		p.dial()
		return p
	}
	b := speaking("b", members.Protocol+1)
	a.knows(1, 0)
	here, there := a.listen(&gatewayv1.ListenRequest{Name: "old"}), b.listen(&gatewayv1.ListenRequest{Name: "new"})
	a.knows(1, 1)
	until(t, "b knows the listener of a", func() bool {
		l, err := b.admin().ListListeners(t.Context(), &gatewayv1.ListListenersRequest{Node: "a"})
		return err == nil && len(l.GetListeners()) == 1
	})
	cross := func(from, accepting *node, l *listening, name string) {
		t.Helper()
		client := from.open(&gatewayv1.Bot{Direction: extract, Credit: 2, Label: fmt.Sprintf(`{"flow":"BOT","stream":%q}`, name)})
		offer := l.next()
		handler := accepting.open(&gatewayv1.Bot{Cid: offer.GetCid(), Direction: inject, Credit: 2})
		handler.next()
		client.next()
		handler.pay(1)
		client.next()
		client.dat(name)
		if got := string(handler.next().GetDat().GetPayload()[0]); got != name {
			t.Errorf("the handler got %q, want %q", got, name)
		}
		client.eot()
		handler.ends()
		handler.eot()
	}
	here.leave() // so that b's is the only one
	a.knows(1, 1)
	cross(a, b.node, there, "to the newer")
	cross(a, a, there, "to the newer, and back by its cid")
	there.leave()
	here = a.listen(&gatewayv1.ListenRequest{Name: "old"})
	cross(b.node, a, here, "to the older")
	cross(b.node, b.node, here, "to the older, and back by its cid")
	if flows, silent := a.flows(&gatewayv1.ListFlowsRequest{}); len(silent) != 0 || !slices.ContainsFunc(flows, func(f string) bool { return strings.HasPrefix(f, "b/") }) {
		t.Errorf("the flows are %v, without %v", flows, silent)
	}

	c := speaking("c", members.Protocol+2)
	until(t, "the log of a says that c is no member", func() bool {
		return strings.Contains(a.log.String(), "it speaks version 3 of the protocol, this one 1: it is not taken in")
	})
	until(t, "b, which is between them, knows both", func() bool {
		s, err := b.admin().GetStatus(t.Context(), &gatewayv1.GetStatusRequest{})
		return err == nil && len(s.GetCluster().GetNodes()) == 3
	})
	if n := len(a.Status().Cluster.Nodes); n != 1 {
		t.Errorf("a knows %d others, with %s", n, c.name)
	}
}
