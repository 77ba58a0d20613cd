package operate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/cli/console"
	"github.com/zioflow/gateway/cli/exit"
	"github.com/zioflow/gateway/cli/tables"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

type callOption = grpc.CallOption

// endCommand ends flows.
type endCommand struct {
	doFlags      `embed:""`
	confirmFlags `embed:""`
	Node         string   `env:"-" help:"Of this node of the cluster: its name or id. Without, numbers are of the gateway that is asked, and a filter is for all nodes." placeholder:"NODE"`
	Filter       string   `env:"-" short:"f" help:"Those that have not ended and for which this CEL expression is true; see gateway flows --filter." placeholder:"CEL"`
	IDs          []uint64 `arg:"" optional:"" name:"id" help:"Their numbers."`
}

// Validate is called by kong.
func (e *endCommand) Validate() error {
	if (e.Filter == "") == (len(e.IDs) == 0) {
		return errors.New("name flows by their numbers, or by --filter: one of the two")
	}
	return nil
}

// Run ends what was named, and says of each what became of it.
func (e *endCommand) Run(c *console.Console) error {
	return e.do(c, func(c call) error {
		flows, err := e.selected(c)
		if err != nil {
			return err
		}
		about := tables.Flows(flows, time.Now())
		if err := e.confirm(c, about, fmt.Sprintf("End %s?", plural(len(flows), "flow"))); err != nil {
			return err
		}
		return e.end(c, flows)
	})
}

// selected are the flows that are to be ended; none is an error.
func (e *endCommand) selected(c call) ([]*gatewayv1.Flow, error) {
	ctx, cancel := c.Limited(c.context)
	defer cancel()
	if e.Filter != "" {
		list, err := listed(ctx, c.Gateway, &gatewayv1.ListFlowsRequest{Filter: e.Filter, States: live, Node: e.Node}, nil)
		flows := list.GetFlows()
		switch {
		case c.context.Err() != nil:
			return nil, console.Interruption(c.context)
		case err != nil:
			return nil, c.Explain(err)
		case len(flows) == 0:
			c.console.Warn(tables.Unreachable(list.GetUnreachable()))
			return nil, exit.Errorf(exit.NotFound, "there is nothing to end: no flow is selected by that filter")
		}
		c.console.Warn(tables.Unreachable(list.GetUnreachable()))
		return flows, nil
	}
	var flows []*gatewayv1.Flow
	for _, id := range slices.Compact(slices.Sorted(slices.Values(e.IDs))) {
		r, err := ask(c, &gatewayv1.GetFlowRequest{Id: id, Node: e.Node}, c.GetFlow)
		if err != nil {
			return nil, exit.With(exit.Of(err), fmt.Errorf("%w; nothing was ended", err))
		}
		if f := r.GetFlow(); f.GetState() == gatewayv1.FlowState_FLOW_STATE_ENDED {
			return nil, exit.Errorf(exit.Refused, "flow %d has ended already: %s; nothing was ended", id, tables.ReasonWord(f.GetReason()))
		}
		flows = append(flows, r.GetFlow())
	}
	return flows, nil
}

// atOnce bounds how many flows are being ended at a time.
const atOnce = 8

// end ends flows. What has ended by itself meanwhile is as well; another failure ends it all,
// and is told with what was done.
func (e *endCommand) end(c call, flows []*gatewayv1.Flow) error {
	group, ctx := errgroup.WithContext(c.context)
	group.SetLimit(atOnce)
	ended := make([]*gatewayv1.Flow, len(flows))
	for i, f := range flows {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			call, cancel := context.WithTimeout(ctx, c.Timeout)
			defer cancel()
			r, err := c.EndFlow(call, &gatewayv1.EndFlowRequest{Id: f.GetId(), Node: f.GetNode(), Detail: e.Detail})
			ended[i] = r.GetFlow()
			if code := status.Code(err); code == codes.FailedPrecondition || code == codes.NotFound {
				return nil
			}
			return err
		})
	}
	failure := group.Wait()
	number := 0
	for _, f := range ended {
		if f == nil {
			continue
		}
		number++
		if err := e.say(c, f, endedWords(f)); err != nil {
			return err
		}
	}
	switch {
	case c.context.Err() != nil:
		failure = console.Interruption(c.context)
	case failure != nil:
		failure = c.Explain(failure)
	case number < len(flows):
		c.console.Note("%s had ended by then\n", plural(len(flows)-number, "other"))
	}
	if failure != nil {
		return exit.With(exit.Of(failure), fmt.Errorf("%w; %d of %d flows were ended", failure, number, len(flows)))
	}
	return nil
}

// endedWords tell of a flow that was ended.
func endedWords(f *gatewayv1.Flow) string {
	words := "ended flow " + tables.Number(f.GetId())
	if f.GetNode() != "" {
		words += " at " + tables.Printable(f.GetNode())
	}
	if attributes := tables.Attributes(f.GetAttributes()); attributes != "" {
		words += ": " + tables.Cut(tables.Printable(attributes), 80)
	}
	return words
}

// plural is a number with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return tables.Count(n) + " " + strings.TrimSuffix(noun, "s") + "s"
}
