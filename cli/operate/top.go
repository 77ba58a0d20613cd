package operate

import (
	"context"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/cli/console"
	"github.com/zioflow/gateway/cli/exit"
	"github.com/zioflow/gateway/cli/remote"
	"github.com/zioflow/gateway/cli/top"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

type topCommand struct {
	remote.Flags `embed:""`
	allNodes     `embed:""`
	Filter       string        `env:"-" short:"f" help:"Only flows for which this CEL expression is true." placeholder:"CEL"`
	Sort         string        `env:"-" default:"rate" help:"By rate, bytes, age, taker (for whom they have waited most) or id."`
	Interval     time.Duration `env:"-" default:"1s" help:"How often it looks. Where a look takes long, it looks less often: a tenth of the time at the most."`
}

// Validate is called by kong.
func (t *topCommand) Validate() error {
	switch {
	case t.Interval < minInterval:
		return exit.Errorf(exit.Usage, "--interval is %v, want %v at least", t.Interval, minInterval)
	case !slices.Contains(top.Sorts(), t.Sort):
		return exit.Errorf(exit.Usage, "--sort is %q, want one of %q", t.Sort, top.Sorts())
	}
	return nil
}

// Run shows flows until its user ends it. A gateway that is not there is seen before the
// terminal is taken.
func (t *topCommand) Run(c *console.Console) error {
	if !c.Terminal() {
		return exit.Errorf(exit.Usage, "top needs a terminal; for a script there is gateway flows --sort rate --json --watch")
	}
	return dialled(&t.Flags, c, func(to call) error {
		source := sourceOf(to.Gateway, t.Node)
		if _, err := source.Look(to.context, top.Query{Filter: t.Filter, Sort: t.Sort, Rows: 1}); err != nil {
			return err
		}
		model := top.New(to.context, source, top.Options{Filter: t.Filter, Sort: t.Sort, Interval: t.Interval})
		return top.Run(to.context, model, tea.WithInput(c.Input()), tea.WithOutput(c.Output()))
	})
}

// orders are how a gateway is asked for flows in the order of a view, and the other way round.
var orders = map[string][2]string{
	"rate":  {"messages_per_second desc", "messages_per_second"},
	"bytes": {"bytes_per_second desc", "bytes_per_second"},
	"age":   {"opened", "opened desc"},
	"taker": {"waits.taker_share desc", "waits.taker_share"},
	"id":    {"opened desc", "opened"},
}

// ordered asks for flows in an order. The error says so where the gateway knows of none.
func ordered(ctx context.Context, g *remote.Gateway, request *gatewayv1.ListFlowsRequest) (*gatewayv1.ListFlowsResponse, error) {
	list, err := g.ListFlows(ctx, request)
	if err == nil && len(list.GetFlows()) > 0 && list.GetTotalSize() == 0 {
		err = status.Error(codes.Unimplemented, "the gateway is of an older version, which puts no flows in order: use its own `gateway` program")
	}
	return list, err
}

// sourceOf has errors in words.
func sourceOf(g *remote.Gateway, node string) top.Source {
	get := func(ctx context.Context, id top.ID) (*gatewayv1.Flow, error) {
		r, err := g.GetFlow(ctx, &gatewayv1.GetFlowRequest{Id: id.Number, Node: id.Node})
		return r.GetFlow(), g.Explain(err)
	}
	return top.Source{
		Address: g.Address,
		Look: func(ctx context.Context, q top.Query) (top.Seen, error) {
			ctx, cancel := g.Limited(ctx)
			defer cancel()
			sum, err := g.GetStatus(ctx, &gatewayv1.GetStatusRequest{Node: node, AllNodes: node == ""})
			if err != nil {
				return top.Seen{}, g.Explain(err)
			}
			order := orders[q.Sort][0]
			if q.Backward {
				order = orders[q.Sort][1]
			}
			list, err := ordered(ctx, g, &gatewayv1.ListFlowsRequest{
				Filter: q.Filter, States: live, Node: node, OrderBy: order, PageSize: int32(min(q.Rows, 1000)), PageToken: q.Page,
			})
			seen := top.Seen{
				Status: sum, Flows: list.GetFlows(), Next: list.GetNextPageToken(), Silent: list.GetUnreachable(),
				Total: list.GetTotalSize(), Preceding: list.GetPrecedingSize(),
			}
			if err == nil && q.Keep.Number != 0 && !slices.ContainsFunc(seen.Flows, func(f *gatewayv1.Flow) bool { return top.IDOf(f) == q.Keep }) {
				if f, err := get(ctx, q.Keep); err == nil && f.GetState() != gatewayv1.FlowState_FLOW_STATE_ENDED {
					seen.Kept = f
				}
			}
			return seen, g.Explain(err)
		},
		Flow: func(ctx context.Context, id top.ID) (*gatewayv1.Flow, error) {
			ctx, cancel := g.Limited(ctx)
			defer cancel()
			return get(ctx, id)
		},
		End: func(ctx context.Context, id top.ID) error {
			ctx, cancel := g.Limited(ctx)
			defer cancel()
			_, err := g.EndFlow(ctx, &gatewayv1.EndFlowRequest{Id: id.Number, Node: id.Node})
			return g.Explain(err)
		},
	}
}
