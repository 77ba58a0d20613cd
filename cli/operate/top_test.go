package operate_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/zioflow/gateway/cli/exit"
	"github.com/zioflow/gateway/cli/operate"
	"github.com/zioflow/gateway/cli/remote"
	"github.com/zioflow/gateway/cli/top"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// topOf is what top asks of a gateway.
func topOf(t testing.TB, r *rig) top.Source {
	t.Helper()
	g, err := (&remote.Flags{Address: r.address, Timeout: time.Minute}).Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return operate.SourceOf(g, "")
}

// looksAt is what a look of top has shown: the flows, those before and in all, the one kept.
func looksAt(t *testing.T, source top.Source, q top.Query) (top.Seen, string) {
	t.Helper()
	seen, err := source.Look(t.Context(), q)
	if err != nil {
		t.Fatalf("%v: %v", q, err)
	}
	var flows []string
	for _, f := range seen.Flows {
		flows = append(flows, fmt.Sprint(f.GetNode(), f.GetId()))
	}
	return seen, fmt.Sprint(flows, " behind ", seen.Preceding, " of ", seen.Total, ", kept ", seen.Kept.GetNode(), seen.Kept.GetId())
}

// TestTopAsks: top asks for what it shows, in its order, from either end.
func TestTopAsks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	givers := map[uint64]interface{ Abort() }{}
	for range 5 {
		g := r.give(t, map[string]any{"stream": "raw"})
		givers[g.FlowID()] = g
	}
	source := topOf(t, r)
	first := top.Query{Sort: "id", Rows: 2, Keep: top.ID{Number: 1}}
	next, got := looksAt(t, source, first)
	if want := "[5 4] behind 0 of 5, kept 1"; got != want {
		t.Errorf("a look shows %s, want %s", got, want)
	}
	for _, c := range []struct {
		query top.Query
		want  string
	}{
		{top.Query{Sort: "id", Rows: 2, Page: next.Next, Keep: top.ID{Number: 2}}, "[3 2] behind 2 of 5, kept 0"},
		{top.Query{Sort: "id", Rows: 2, Backward: true}, "[1 2] behind 0 of 5, kept 0"},
		{top.Query{Sort: "age", Rows: 2, Keep: top.ID{Number: 9}}, "[1 2] behind 0 of 5, kept 0"}, // there is none
		{top.Query{Sort: "id", Rows: 2, Filter: "id < 5", Keep: top.ID{Number: 5}}, "[4 3] behind 0 of 4, kept 5"},
	} {
		if _, got := looksAt(t, source, c.query); got != c.want {
			t.Errorf("%v shows %s, want %s", c.query, got, c.want)
		}
	}
	for _, sort := range top.Sorts() {
		for _, backward := range []bool{false, true} {
			if seen, _ := looksAt(t, source, top.Query{Sort: sort, Backward: backward, Rows: 10}); len(seen.Flows) != 5 || seen.Next != "" {
				t.Errorf("by %s there are %d flows", sort, len(seen.Flows))
			}
		}
	}
	givers[1].Abort()
	r.until(t, func() bool { seen, _ := looksAt(t, source, first); return seen.Kept == nil && seen.Total == 4 })
	if _, err := source.Look(t.Context(), top.Query{Sort: "id", Rows: 2, Filter: "id ="}); exit.Of(err) != exit.Usage {
		t.Errorf("a wrong filter: %v", err)
	}
}

// TestTopOfCluster: what top shows is of all nodes.
func TestTopOfCluster(t *testing.T) {
	t.Parallel()
	a := newRig(t, clustered("a", nil))
	b := newRig(t, clustered("b", a))
	a.until(t, func() bool {
		return len(a.gateway.Status().Cluster.Nodes) == 1 && len(b.gateway.Status().Cluster.Nodes) == 1
	})
	a.give(t, map[string]any{"stream": "raw"})
	for range 2 {
		b.give(t, map[string]any{"stream": "raw"})
	}
	source := topOf(t, a)
	var seen top.Seen
	var got string
	a.until(t, func() bool { // on a slow machine b may be late
		seen, got = looksAt(t, source, top.Query{Sort: "id", Rows: 2, Keep: top.ID{Node: "a", Number: 1}})
		return len(seen.Silent)+len(seen.Status.GetUnreachable()) == 0 && seen.Kept != nil
	})
	if want := "[b2 b1] behind 0 of 3, kept a1"; got != want {
		t.Errorf("a look shows %s, want %s", got, want)
	}
	var nodes []string
	for _, n := range seen.Status.GetNodeStatuses() {
		nodes = append(nodes, fmt.Sprint(n.GetNode(), n.GetStatus().GetActiveFlows(), n.GetStatus().GetMessages()))
	}
	if want := []string{"a1 1", "b2 2"}; !slices.Equal(nodes, want) {
		t.Errorf("the nodes have %v, want %v", nodes, want)
	}
	list := &gatewayv1.ListFlowsResponse{}
	a.until(t, func() bool {
		list = reads(t, a.run(t, "flows", "--sort=rate", "--limit=2", "--json"), &gatewayv1.ListFlowsResponse{})
		return len(list.GetUnreachable()) == 0
	})
	if len(list.GetFlows()) != 2 || list.GetTotalSize() != 3 {
		t.Errorf("the fastest are %v", list)
	}
	a.run(t, "flows", "--sort=age", "--limit=1").columns(t, "NODE ID STATE …*", "a 1 active …*")
}
