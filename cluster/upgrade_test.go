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
// in which flows go both ways; those further apart do not take each other in. How they
// understand each other, wire.TestPreviousUnderstands tells.
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
	b := speaking("b", members.Protocol-1)
	a.knows(1, 0)
	here, there := a.listen(&gatewayv1.ListenRequest{Name: "new"}), b.listen(&gatewayv1.ListenRequest{Name: "old"})
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
	cross(a, b.node, there, "to the older")
	cross(a, a, there, "to the older, and back by its cid")
	there.leave()
	here = a.listen(&gatewayv1.ListenRequest{Name: "new"})
	cross(b.node, a, here, "to the newer")
	cross(b.node, b.node, here, "to the newer, and back by its cid")
	if flows, silent := a.flows(&gatewayv1.ListFlowsRequest{}); len(silent) != 0 || !slices.ContainsFunc(flows, func(f string) bool { return strings.HasPrefix(f, "b/") }) {
		t.Errorf("the flows are %v, without %v", flows, silent)
	}

	c := speaking("c", members.Protocol+1)
	until(t, "the log of c says that b is no member", func() bool {
		return strings.Contains(c.log.String(), fmt.Sprintf("it speaks version %d of the protocol, this one %d: it is not taken in", members.Protocol-1, members.Protocol+1))
	})
	until(t, "a, which is between them, knows both", func() bool { return len(a.Status().Cluster.Nodes) == 2 })
	for _, p := range []*process{b, c} {
		until(t, p.name+" knows a alone", func() bool {
			s, err := p.admin().GetStatus(t.Context(), &gatewayv1.GetStatusRequest{})
			return err == nil && len(s.GetCluster().GetNodes()) == 2
		})
	}
}
