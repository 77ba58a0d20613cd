package operate

import (
	"cmp"
	"context"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/cli/console"
	"github.com/zioflow/gateway/cli/remote"
	"github.com/zioflow/gateway/cli/tables"
	"github.com/zioflow/gateway/cli/top"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// selectFlags say which flows.
type selectFlags struct {
	Filter string   `env:"-" short:"f" help:"Only those for which this CEL expression is true, such as 'attributes.stream == \"raw\" && held_up_by == \"taker\"'." placeholder:"CEL"`
	State  []string `env:"-" short:"s" enum:"pending,active,half_closed,ended" help:"Only those in one of these states: ${enum}. By default in all but the last." placeholder:"STATE"`
}

// live are the states of flows that have not ended.
var live = []gatewayv1.FlowState{
	gatewayv1.FlowState_FLOW_STATE_PENDING, gatewayv1.FlowState_FLOW_STATE_ACTIVE, gatewayv1.FlowState_FLOW_STATE_HALF_CLOSED,
}

// maxOrdered is how many flows a gateway puts in order on a page. Beyond it all are asked for:
// by the next page their order may be another one.
const maxOrdered = 1000

// states are those that were named, otherwise live ones.
func (s *selectFlags) states() []gatewayv1.FlowState {
	if len(s.State) == 0 {
		return live
	}
	var states []gatewayv1.FlowState
	for value := range gatewayv1.FlowState_name {
		if state := gatewayv1.FlowState(value); slices.Contains(s.State, tables.StateWord(state)) {
			states = append(states, state)
		}
	}
	slices.Sort(states)
	return states
}

type flowsCommand struct {
	showFlags   `embed:""`
	selectFlags `embed:""`
	allNodes    `embed:""`
	All         bool   `env:"-" short:"a" help:"Also those that have ended and are remembered."`
	Sort        string `env:"-" enum:"id,rate,bytes,age" default:"id" help:"By ${enum}: the latest first, or the greatest."`
	Limit       int    `env:"-" short:"n" help:"Not more than that many; 0 for all." placeholder:"N"`
}

// Run lists flows.
func (f *flowsCommand) Run(c *console.Console) error {
	return f.show(c, func(ctx context.Context, g *remote.Gateway, now time.Time) (*picture, error) {
		states := f.states()
		if f.All {
			states = nil
		}
		list, err := f.list(ctx, g, states)
		if err != nil {
			return nil, err
		}
		flows := list.GetFlows()
		sortFlows(flows, f.Sort, now)
		if f.Limit > 0 && len(flows) > f.Limit {
			flows = flows[:f.Limit]
		}
		list.Flows = flows
		return &picture{list, []*tables.Table{tables.Flows(flows, now)}, list.GetUnreachable()}, nil
	})
}

// list asks for no more than is shown.
func (f *flowsCommand) list(ctx context.Context, g *remote.Gateway, states []gatewayv1.FlowState) (*gatewayv1.ListFlowsResponse, error) {
	if f.Limit > 0 && f.Limit <= maxOrdered && f.orderedThere(states) {
		return f.listOrdered(ctx, g, states)
	}
	return listed(ctx, g, &gatewayv1.ListFlowsRequest{Filter: f.Filter, States: states, Node: f.Node}, func(list *gatewayv1.ListFlowsResponse) bool {
		return f.Sort != "id" || f.Limit <= 0 || len(list.GetFlows()) < f.Limit
	})
}

// listOrdered has the gateway find the first ones. Where one page has no room for them, some
// may be on the next one again.
func (f *flowsCommand) listOrdered(ctx context.Context, g *remote.Gateway, states []gatewayv1.FlowState) (*gatewayv1.ListFlowsResponse, error) {
	list, known := &gatewayv1.ListFlowsResponse{}, map[top.ID]bool{}
	request := &gatewayv1.ListFlowsRequest{Filter: f.Filter, States: states, Node: f.Node, OrderBy: orders[f.Sort][0], PageSize: int32(f.Limit)}
	for {
		page, err := ordered(ctx, g, request)
		if err != nil {
			return nil, err
		}
		for _, flow := range page.GetFlows() {
			if id := top.IDOf(flow); !known[id] {
				known[id] = true
				list.Flows = append(list.Flows, flow)
			}
		}
		list.Unreachable, list.TotalSize = page.GetUnreachable(), page.GetTotalSize()
		request.PageToken = page.GetNextPageToken()
		if request.PageToken == "" || len(list.GetFlows()) >= f.Limit {
			return list, nil
		}
	}
}

// orderedThere tells whether the gateway knows the order. The age of flows that have ended is
// none that it puts them in order by.
func (f *flowsCommand) orderedThere(states []gatewayv1.FlowState) bool {
	switch f.Sort {
	case "id":
		return false
	case "age":
		return len(states) > 0 && !slices.Contains(states, gatewayv1.FlowState_FLOW_STATE_ENDED)
	default:
		return true
	}
}

// listed are the pages of flows in one, while more says so.
func listed(ctx context.Context, g *remote.Gateway, request *gatewayv1.ListFlowsRequest, more func(*gatewayv1.ListFlowsResponse) bool) (*gatewayv1.ListFlowsResponse, error) {
	list := &gatewayv1.ListFlowsResponse{}
	for page, err := range g.FlowPages(ctx, request) {
		if err != nil {
			return nil, err
		}
		list.Flows, list.Unreachable = append(list.Flows, page.GetFlows()...), append(list.Unreachable, page.GetUnreachable()...)
		if more != nil && !more(list) {
			break
		}
	}
	return list, nil
}

// sortFlows puts the greatest first; flows that are equal stay in their order.
func sortFlows(flows []*gatewayv1.Flow, by string, now time.Time) {
	slices.SortStableFunc(flows, func(a, b *gatewayv1.Flow) int {
		switch by {
		case "rate":
			return cmp.Compare(b.GetMessagesPerSecond(), a.GetMessagesPerSecond())
		case "bytes":
			return cmp.Compare(b.GetBytesPerSecond(), a.GetBytesPerSecond())
		case "age":
			return cmp.Compare(tables.Age(b, now), tables.Age(a, now))
		default:
			return cmp.Or(cmp.Compare(a.GetNode(), b.GetNode()), cmp.Compare(b.GetId(), a.GetId()))
		}
	})
}

type flowCommand struct {
	showFlags `embed:""`
	ownNode   `embed:""`
	ID        uint64 `arg:"" help:"Its number."`
}

// Run shows one flow.
func (f *flowCommand) Run(c *console.Console) error {
	return f.show(c, func(ctx context.Context, g *remote.Gateway, now time.Time) (*picture, error) {
		response, err := g.GetFlow(ctx, &gatewayv1.GetFlowRequest{Id: f.ID, Node: f.Node})
		if err != nil {
			return nil, hinted(err, "`gateway flows --all` lists those that are known")
		}
		return &picture{message: response.GetFlow(), tables: []*tables.Table{tables.Flow(response.GetFlow(), now)}}, nil
	})
}

// hinted is NOT_FOUND with where to look; any other error as it is.
func hinted(err error, hint string) error {
	if status.Code(err) != codes.NotFound {
		return err
	}
	return status.Error(codes.NotFound, status.Convert(err).Message()+"; "+hint)
}
