package admin

import (
	"context"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/text"
	"github.com/zioflow/gateway/server/contract"
)

// statuses is the gateway summed up, and every node of its cluster besides.
func (v *View) statuses(ctx context.Context, request *gatewayv1.GetStatusRequest) (*gatewayv1.GetStatusResponse, error) {
	if request.GetNode() != "" {
		return nil, contract.BadField("all_nodes", "goes not together with node")
	}
	response, err := v.Service.GetStatus(ctx, &gatewayv1.GetStatusRequest{})
	if err != nil {
		return nil, err
	}
	own := func(context.Context, *gatewayv1.GetStatusRequest) (*gatewayv1.GetStatusResponse, error) {
		return withoutCluster(response), nil
	}
	for nodes := range slices.Chunk(v.cluster(), askedAtOnce) {
		answers := ask(ctx, v.Service, nodes, func(int) *gatewayv1.GetStatusRequest { return &gatewayv1.GetStatusRequest{} },
			own, gatewayv1.AdminServiceClient.GetStatus)
		if err := ctx.Err(); err != nil {
			return nil, status.FromContextError(err).Err()
		}
		for i, a := range answers {
			n := nodes[i]
			if why := refusal(a.silent, a.err); why != "" {
				response.Unreachable = append(response.Unreachable, without(n, why))
				continue
			}
			response.NodeStatuses = append(response.NodeStatuses,
				&gatewayv1.NodeStatus{Node: n.name, NodeId: n.id, Status: withoutCluster(a.response)})
		}
	}
	return response, nil
}

// withoutCluster is a status without what is said of other nodes.
func withoutCluster(s *gatewayv1.GetStatusResponse) *gatewayv1.GetStatusResponse {
	return &gatewayv1.GetStatusResponse{
		Version: s.GetVersion(), Started: s.GetStarted(), Draining: s.GetDraining(), Endpoints: s.GetEndpoints(),
		PendingFlows: s.GetPendingFlows(), ActiveFlows: s.GetActiveFlows(), HalfClosedFlows: s.GetHalfClosedFlows(),
		EndedFlows: s.GetEndedFlows(), Messages: s.GetMessages(), Bytes: s.GetBytes(), Peers: s.GetPeers(),
		Listeners: s.GetListeners(), QueuedBytes: s.GetQueuedBytes(), Limits: s.GetLimits(), LogLevel: s.GetLogLevel(),
		Configured: s.GetConfigured(), Node: s.GetNode(), Nodes: s.GetNodes(),
	}
}

func without(n node, why string) *gatewayv1.Unreachable {
	return &gatewayv1.Unreachable{Node: n.name, NodeId: n.id, Reason: why}
}

// refusal is why there is nothing of a node; empty if there is.
func refusal(silent string, err error) string {
	if silent == "" && err != nil {
		return text.Detail(status.Convert(err).Message())
	}
	return silent
}

// ordered is a flow of a node in an order of those of all nodes.
type ordered struct {
	place
	flow *gatewayv1.Flow
}

// together puts the pages of several nodes in one order.
type together struct {
	*ordering
	response *gatewayv1.ListFlowsResponse
	first    []ordered
	end      *place // behind it there may be flows that are on none of the pages; nil for nowhere
}

// listOrdered shows the first flows of an order, of all nodes: they are among the first ones
// of each.
func (v *View) listOrdered(ctx context.Context, request *gatewayv1.ListFlowsRequest, all []node) (*gatewayv1.ListFlowsResponse, error) {
	if _, err := newSelection(request.GetStates(), request.GetFilter()); err != nil {
		return nil, err
	}
	o, err := newOrder(request)
	if err != nil {
		return nil, err
	}
	nodes, err := named(all, request.GetNode())
	if err != nil {
		return nil, err
	}
	t := &together{ordering: o, response: &gatewayv1.ListFlowsResponse{}}
	for nodes := range slices.Chunk(nodes, askedAtOnce) {
		answers := ask(ctx, v.Service, nodes, func(int) *gatewayv1.ListFlowsRequest {
			return &gatewayv1.ListFlowsRequest{
				States: request.GetStates(), Filter: request.GetFilter(), OrderBy: request.GetOrderBy(),
				PageSize: request.GetPageSize(), PageToken: request.GetPageToken(),
			}
		}, v.Service.ListFlows, gatewayv1.AdminServiceClient.ListFlows)
		if err := ctx.Err(); err != nil {
			return nil, status.FromContextError(err).Err()
		}
		for i, a := range answers {
			if err := t.add(nodes[i], a); err != nil {
				return nil, err
			}
		}
		t.cut()
	}
	t.fill()
	return t.response, nil
}

// add takes in what a node has answered.
func (t *together) add(n node, a answer[*gatewayv1.ListFlowsResponse]) error {
	flows := a.response.GetFlows()
	switch {
	case status.Code(a.err) == codes.InvalidArgument && !n.self(): // this node has found it in order
		a.silent = text.Detail(status.Convert(a.err).Message())
	case a.err == nil && len(flows) > 0 && a.response.GetTotalSize() == 0:
		a.silent = "its version puts no flows in order"
	}
	switch {
	case a.silent != "":
		t.response.Unreachable = append(t.response.Unreachable, without(n, a.silent))
		return nil
	case a.err != nil:
		return a.err
	}
	t.response.TotalSize += a.response.GetTotalSize()
	t.response.PrecedingSize += a.response.GetPrecedingSize()
	for _, f := range flows {
		mark(f, n.name)
		t.first = append(t.first, ordered{place{t.shown(f), n.name, n.id, f.GetId()}, f})
	}
	if a.response.GetNextPageToken() != "" && len(flows) > 0 {
		t.endAt(t.first[len(t.first)-1].place)
	}
	return nil
}

// endAt takes note of a place behind which not all flows are known.
func (t *together) endAt(p place) {
	if t.end == nil || t.compare(p, *t.end) < 0 {
		t.end = &p
	}
}

// cut keeps no more than a page.
func (t *together) cut() {
	slices.SortFunc(t.first, func(a, b ordered) int { return t.compare(a.place, b.place) })
	if len(t.first) > t.page.size {
		t.first = slices.Clone(t.first[:t.page.size])
		t.endAt(t.first[t.page.size-1].place)
	}
}

// fill has the response show the flows, as far as there is room.
func (t *together) fill() {
	for i, f := range t.first {
		if t.end != nil && t.compare(f.place, *t.end) > 0 || !t.page.takes(f.flow) {
			t.endAt(t.first[i-1].place) // the first one comes before any end
			break
		}
		t.response.Flows = append(t.response.Flows, f.flow)
	}
	if t.end != nil {
		t.response.NextPageToken = t.end.token(t.page.query)
	}
}
