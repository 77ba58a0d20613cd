package admin

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/contract"
)

// NodesMayCall tells whether a node may call that method of the others' AdminService: what
// shows flows, peers and routes, ends them, adds routes, drains, and sets the log's level; and has
// the node read its own configuration again, in which nobody else has a say. Whether the operator
// may, the node has asked.
func NodesMayCall(fullMethod string) bool {
	switch fullMethod {
	case gatewayv1.AdminService_GetStatus_FullMethodName, gatewayv1.AdminService_ListFlows_FullMethodName,
		gatewayv1.AdminService_GetFlow_FullMethodName, gatewayv1.AdminService_WatchFlows_FullMethodName,
		gatewayv1.AdminService_EndFlow_FullMethodName, gatewayv1.AdminService_ListPeers_FullMethodName,
		gatewayv1.AdminService_DisconnectPeer_FullMethodName, gatewayv1.AdminService_Drain_FullMethodName,
		gatewayv1.AdminService_Undrain_FullMethodName, gatewayv1.AdminService_SetLogLevel_FullMethodName,
		gatewayv1.AdminService_Reload_FullMethodName, gatewayv1.AdminService_ListRoutes_FullMethodName,
		gatewayv1.AdminService_AddRoute_FullMethodName, gatewayv1.AdminService_RemoveRoute_FullMethodName,
		gatewayv1.AdminService_TestRoute_FullMethodName:
		return true
	}
	return false
}

// GetStatus sums a gateway up.
func (v *View) GetStatus(ctx context.Context, request *gatewayv1.GetStatusRequest) (*gatewayv1.GetStatusResponse, error) {
	if request.GetAllNodes() {
		return v.statuses(ctx, request)
	}
	return single(ctx, v, request.GetNode(), request, v.Service.GetStatus, gatewayv1.AdminServiceClient.GetStatus)
}

// GetFlow shows one flow.
func (v *View) GetFlow(ctx context.Context, request *gatewayv1.GetFlowRequest) (*gatewayv1.GetFlowResponse, error) {
	return single(ctx, v, request.GetNode(), request, v.Service.GetFlow, gatewayv1.AdminServiceClient.GetFlow)
}

// EndFlow ends a flow.
func (v *View) EndFlow(ctx context.Context, request *gatewayv1.EndFlowRequest) (*gatewayv1.EndFlowResponse, error) {
	return single(ctx, v, request.GetNode(), request, v.Service.EndFlow, gatewayv1.AdminServiceClient.EndFlow)
}

// DisconnectPeer ends a peer's flow and connection.
func (v *View) DisconnectPeer(ctx context.Context, request *gatewayv1.DisconnectPeerRequest) (*gatewayv1.DisconnectPeerResponse, error) {
	return single(ctx, v, request.GetNode(), request, v.Service.DisconnectPeer, gatewayv1.AdminServiceClient.DisconnectPeer)
}

// Drain refuses new flows.
func (v *View) Drain(ctx context.Context, request *gatewayv1.DrainRequest) (*gatewayv1.DrainResponse, error) {
	return single(ctx, v, request.GetNode(), request, v.Service.Drain, gatewayv1.AdminServiceClient.Drain)
}

// Undrain takes new flows again.
func (v *View) Undrain(ctx context.Context, request *gatewayv1.UndrainRequest) (*gatewayv1.UndrainResponse, error) {
	return single(ctx, v, request.GetNode(), request, v.Service.Undrain, gatewayv1.AdminServiceClient.Undrain)
}

// SetLogLevel changes what is logged.
func (v *View) SetLogLevel(ctx context.Context, request *gatewayv1.SetLogLevelRequest) (*gatewayv1.SetLogLevelResponse, error) {
	return single(ctx, v, request.GetNode(), request, v.Service.SetLogLevel, gatewayv1.AdminServiceClient.SetLogLevel)
}

// Reload has the configuration put to use anew.
func (v *View) Reload(ctx context.Context, request *gatewayv1.ReloadRequest) (*gatewayv1.ReloadResponse, error) {
	return within(ctx, v, reloadPatience, request.GetNode(), request, v.Service.Reload, gatewayv1.AdminServiceClient.Reload)
}

// ListFlows shows the flows that are selected, of one node after the other unless there is
// an order for all.
func (v *View) ListFlows(ctx context.Context, request *gatewayv1.ListFlowsRequest) (*gatewayv1.ListFlowsResponse, error) {
	all := v.cluster()
	if len(all) == 0 && request.GetNode() == "" {
		return v.Service.ListFlows(ctx, request)
	}
	if request.GetOrderBy() != "" {
		return v.listOrdered(ctx, request, all)
	}
	if _, err := newSelection(request.GetStates(), request.GetFilter()); err != nil {
		return nil, err
	}
	l := listing[*gatewayv1.Flow, *gatewayv1.ListFlowsRequest, *gatewayv1.ListFlowsResponse]{
		Service: v.Service, node: request.GetNode(), token: request.GetPageToken(),
		query: fmt.Sprint(request.GetStates(), request.GetFilter()), size: request.GetPageSize(),
		request: func(size int32, token string) *gatewayv1.ListFlowsRequest {
			return &gatewayv1.ListFlowsRequest{States: request.GetStates(), Filter: request.GetFilter(), PageSize: size, PageToken: token}
		},
		here: v.Service.ListFlows, there: gatewayv1.AdminServiceClient.ListFlows,
		entries: (*gatewayv1.ListFlowsResponse).GetFlows, id: (*gatewayv1.Flow).GetId,
	}
	flows, next, unreachable, err := l.page(ctx, all)
	return &gatewayv1.ListFlowsResponse{Flows: flows, NextPageToken: next, Unreachable: unreachable}, err
}

// ListPeers shows who is connected, to one node after the other.
func (v *View) ListPeers(ctx context.Context, request *gatewayv1.ListPeersRequest) (*gatewayv1.ListPeersResponse, error) {
	all := v.cluster()
	if len(all) == 0 && request.GetNode() == "" {
		return v.Service.ListPeers(ctx, request)
	}
	l := listing[*gatewayv1.ConnectedPeer, *gatewayv1.ListPeersRequest, *gatewayv1.ListPeersResponse]{
		Service: v.Service, node: request.GetNode(), token: request.GetPageToken(),
		query: request.GetTransport(), size: request.GetPageSize(),
		request: func(size int32, token string) *gatewayv1.ListPeersRequest {
			return &gatewayv1.ListPeersRequest{Transport: request.GetTransport(), PageSize: size, PageToken: token}
		},
		here: v.Service.ListPeers, there: gatewayv1.AdminServiceClient.ListPeers,
		entries: (*gatewayv1.ListPeersResponse).GetPeers, id: (*gatewayv1.ConnectedPeer).GetId,
	}
	peers, next, unreachable, err := l.page(ctx, all)
	return &gatewayv1.ListPeersResponse{Peers: peers, NextPageToken: next, Unreachable: unreachable}, err
}

// listing is a list of which each node has a part: those of one node come after those of the
// other, in the order of the nodes.
type listing[T proto.Message, Q any, R interface{ GetNextPageToken() string }] struct {
	*Service
	node, token, query string
	size               int32
	request            func(size int32, token string) Q // what a node is asked for
	here               func(context.Context, Q) (R, error)
	there              func(gatewayv1.AdminServiceClient, context.Context, Q, ...grpc.CallOption) (R, error)
	entries            func(R) []T
	id                 func(T) uint64
}

// part is what a node has of a listing.
type part[T any] struct {
	entries []T
	next    string
	err     error
	silent  string // why it has not answered
}

// page is a page. Where nodes have not answered it ends behind those that were asked with
// them: a call waits for silent ones once.
func (l *listing[T, Q, R]) page(ctx context.Context, all []node) (entries []T, next string, unreachable []*gatewayv1.Unreachable, err error) {
	p, err := newPage(&gatewayv1.ListFlowsRequest{PageSize: l.size}, l.query)
	if err != nil {
		return nil, "", nil, err
	}
	nodes, err := named(all, l.node)
	if err != nil {
		return nil, "", nil, err
	}
	inner := ""
	if l.token != "" {
		if nodes, inner, err = resume(nodes, l.token); err != nil {
			return nil, "", nil, err
		}
	}
	for len(nodes) > 0 {
		asked := nodes[:min(askedAtOnce, len(nodes))]
		parts := l.ask(ctx, asked, int32(p.size-p.taken), inner)
		if err := ctx.Err(); err != nil {
			return nil, "", nil, status.FromContextError(err).Err()
		}
		for i, part := range parts {
			n := asked[i]
			switch {
			case part.silent != "":
				unreachable = append(unreachable, &gatewayv1.Unreachable{Node: n.name, NodeId: n.id, Reason: part.silent})
				continue
			case part.err != nil:
				return nil, "", nil, part.err
			}
			for _, entry := range part.entries {
				if !p.takes(entry) {
					return entries, at(n, inner), unreachable, nil
				}
				entries = append(entries, entry)
				p.before = l.id(entry)
				inner = p.next()
			}
			if part.next != "" {
				return entries, at(n, part.next), unreachable, nil
			}
			inner = ""
		}
		if nodes = nodes[len(asked):]; len(nodes) > 0 && (len(unreachable) > 0 || p.taken >= p.size) {
			return entries, at(nodes[0], ""), unreachable, nil
		}
	}
	return entries, "", unreachable, nil
}

// ask asks nodes at once; the first of them for what comes after the token.
func (l *listing[T, Q, R]) ask(ctx context.Context, nodes []node, size int32, token string) []part[T] {
	request := func(i int) Q {
		if i > 0 {
			return l.request(size, "")
		}
		return l.request(size, token)
	}
	parts := make([]part[T], len(nodes))
	for i, a := range ask(ctx, l.Service, nodes, request, l.here, l.there) {
		parts[i] = part[T]{entries: l.entries(a.response), next: a.response.GetNextPageToken(), err: a.err, silent: a.silent}
		for _, entry := range parts[i].entries {
			mark(entry, nodes[i].name)
		}
	}
	return parts
}

// resume is the nodes from the token's on, and the token for that; empty if it has left.
func resume(nodes []node, token string) (rest []node, inner string, err error) {
	inner, where, found := strings.Cut(token, ".")
	decoded, wrong := base64.RawURLEncoding.DecodeString(where)
	id, name, whole := strings.Cut(string(decoded), "\x00")
	if !found || wrong != nil || !whole {
		return nil, "", contract.BadField("page_token", "is none that was answered here")
	}
	from := node{id: id, name: name}
	i, there := slices.BinarySearchFunc(nodes, from, order)
	if !there {
		inner = ""
	}
	return nodes[i:], inner, nil
}
