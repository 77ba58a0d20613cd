package operate

import (
	"context"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

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
		if _, err := source.Look(to.context, t.Filter); err != nil {
			return err
		}
		model := top.New(to.context, source, top.Options{Filter: t.Filter, Sort: t.Sort, Interval: t.Interval})
		return top.Run(to.context, model, tea.WithInput(c.Input()), tea.WithOutput(c.Output()))
	})
}

// sourceOf has errors in words.
func sourceOf(g *remote.Gateway, node string) top.Source {
	return top.Source{
		Address: g.Address,
		Look: func(ctx context.Context, filter string) (top.Seen, error) {
			ctx, cancel := g.Limited(ctx)
			defer cancel()
			status, err := g.GetStatus(ctx, &gatewayv1.GetStatusRequest{Node: node})
			if err != nil {
				return top.Seen{}, g.Explain(err)
			}
			list, err := listed(ctx, g, &gatewayv1.ListFlowsRequest{Filter: filter, States: live, Node: node}, nil)
			return top.Seen{Status: status, Flows: list.GetFlows(), Silent: list.GetUnreachable()}, g.Explain(err)
		},
		Flow: func(ctx context.Context, id top.ID) (*gatewayv1.Flow, error) {
			ctx, cancel := g.Limited(ctx)
			defer cancel()
			r, err := g.GetFlow(ctx, &gatewayv1.GetFlowRequest{Id: id.Number, Node: id.Node})
			return r.GetFlow(), g.Explain(err)
		},
		End: func(ctx context.Context, id top.ID) error {
			ctx, cancel := g.Limited(ctx)
			defer cancel()
			_, err := g.EndFlow(ctx, &gatewayv1.EndFlowRequest{Id: id.Number, Node: id.Node})
			return g.Explain(err)
		},
	}
}
