package cluster_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// TestSplit: of three nodes one is cut off under load. No flow within a half is disturbed, and
// afterwards all know the same.
func TestSplit(t *testing.T) {
	t.Parallel()
	s := newStreet(t)
	r := newRig(t)
	a := s.spawn(r, 0, "a")
	b := s.spawn(r, 1, "b", a)
	c := s.spawn(r, 1, "c", a)
	la := a.listen(&gatewayv1.ListenRequest{Name: "a", Match: "attributes.at == 'a'"})
	lb := b.listen(&gatewayv1.ListenRequest{Name: "b", Match: "attributes.at == 'b'"})
	lc := c.listen(&gatewayv1.ListenRequest{Name: "c", Match: "attributes.at == 'c'"})
	all := []*process{a, b, c}
	for _, p := range all {
		p.sees(3, 3)
	}
	var flows []*busy
	within := func(at, by *process, l *listening) {
		client, handler := flowFrom(at.node, by.node, l, by.name)
		flows = append(flows, keepBusy(t, at.name+" to "+by.name, client, handler))
	}
	within(a, a, la)
	within(b, b, lb)
	within(b, c, lc)
	within(c, b, lb)
	var healed []time.Duration
	for trial := range trials(t) {
		across, _ := flowFrom(c.node, a.node, la, "a")
		s.open(false)
		began := time.Now()
		if reason, _ := across.ends(); reason != gatewayv1.EndReason_END_REASON_PEER_GONE {
			t.Errorf("trial %d: the client of a flow across the cut was told %v", trial, reason)
		}
		a.sees(1, 1)
		b.sees(2, 2)
		c.sees(2, 2)
		more := a.listen(&gatewayv1.ListenRequest{Name: fmt.Sprintf("more%d", trial), Match: "attributes.at == 'more'"})
		a.sees(1, 2)
		time.Sleep(span(t) - time.Since(began)) // the cut's length is what is tried
		s.open(true)
		since := time.Now()
		for _, p := range all {
			p.sees(3, 4)
		}
		healed = append(healed, time.Since(since))
		flowFrom(b.node, a.node, more, "more")
		more.leave()
		for _, p := range all {
			p.sees(3, 3)
		}
	}
	for _, f := range flows {
		f.finish()
	}
	slices.Sort(healed)
	t.Logf("all knew the same %v after the split (median), %v at the most, of %d", healed[len(healed)/2], healed[len(healed)-1], len(healed))
}
