package zioflow

import (
	"context"
	"io"
	"iter"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// Admin sees and steers a gateway: the calls of its AdminService, and lists that are
// iterated over page by page. Where a gateway asks who comes, the token or certificate
// needs the role admin, or viewer for what changes nothing. Its methods may be called
// concurrently; errors are gRPC statuses, which [Gateway.Explain] puts in words.
type Admin struct{ gatewayv1.AdminServiceClient }

// Admin is the gateway's administration, over the same connection.
func (g *Gateway) Admin() Admin { return Admin{g.admin} }

// maxPage is as large as pages may be: 1,000 entries, or less than a mebibyte.
const maxPage = 1000

// Flows are those in one of the states, all if none is given, for which the filter, a CEL
// expression, is true; the latest first. Flows that begin meanwhile are not among them. In a
// cluster they are those of all nodes, one node after the other: FlowPages tells as well which
// have not answered.
func (a Admin) Flows(ctx context.Context, filter string, states ...gatewayv1.FlowState) iter.Seq2[*gatewayv1.Flow, error] {
	return pages(func(token string) ([]*gatewayv1.Flow, string, error) {
		r, err := a.ListFlows(ctx, &gatewayv1.ListFlowsRequest{Filter: filter, States: states, PageSize: maxPage, PageToken: token})
		return r.GetFlows(), r.GetNextPageToken(), err
	})
}

// FlowPages are the pages of a list of flows, from the one that the request asks for on, each
// with the nodes of a cluster that have not answered. The request is not changed.
func (a Admin) FlowPages(ctx context.Context, request *gatewayv1.ListFlowsRequest) iter.Seq2[*gatewayv1.ListFlowsResponse, error] {
	return responses(request.GetPageToken(), (*gatewayv1.ListFlowsResponse).GetNextPageToken, func(token string) (*gatewayv1.ListFlowsResponse, error) {
		return a.ListFlows(ctx, &gatewayv1.ListFlowsRequest{
			States: request.GetStates(), Filter: request.GetFilter(), Node: request.GetNode(), PageSize: pageSize(request), PageToken: token,
			OrderBy: request.GetOrderBy(),
		})
	})
}

// PeerPages are the same of peers.
func (a Admin) PeerPages(ctx context.Context, request *gatewayv1.ListPeersRequest) iter.Seq2[*gatewayv1.ListPeersResponse, error] {
	return responses(request.GetPageToken(), (*gatewayv1.ListPeersResponse).GetNextPageToken, func(token string) (*gatewayv1.ListPeersResponse, error) {
		return a.ListPeers(ctx, &gatewayv1.ListPeersRequest{
			Transport: request.GetTransport(), Node: request.GetNode(), PageSize: pageSize(request), PageToken: token,
		})
	})
}

// ListenerPages are the same of listeners.
func (a Admin) ListenerPages(ctx context.Context, request *gatewayv1.ListListenersRequest) iter.Seq2[*gatewayv1.ListListenersResponse, error] {
	return responses(request.GetPageToken(), (*gatewayv1.ListListenersResponse).GetNextPageToken, func(token string) (*gatewayv1.ListListenersResponse, error) {
		return a.ListListeners(ctx, &gatewayv1.ListListenersRequest{Node: request.GetNode(), PageSize: pageSize(request), PageToken: token})
	})
}

// pageSize is how large pages are to be.
func pageSize(request interface{ GetPageSize() int32 }) int32 {
	if size := request.GetPageSize(); size > 0 {
		return size
	}
	return maxPage
}

// responses iterates over the pages of a list. An error is the last thing.
func responses[R any](token string, next func(R) string, page func(token string) (R, error)) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		for {
			r, err := page(token)
			if !yield(r, err) || err != nil {
				return
			}
			if token = next(r); token == "" {
				return
			}
		}
	}
}

// Peers are those that are connected by a transport, such as "grpc"; all if it is empty.
func (a Admin) Peers(ctx context.Context, transport string) iter.Seq2[*gatewayv1.ConnectedPeer, error] {
	return pages(func(token string) ([]*gatewayv1.ConnectedPeer, string, error) {
		r, err := a.ListPeers(ctx, &gatewayv1.ListPeersRequest{Transport: transport, PageSize: maxPage, PageToken: token})
		return r.GetPeers(), r.GetNextPageToken(), err
	})
}

// Listeners are those that are registered, the oldest first.
func (a Admin) Listeners(ctx context.Context) iter.Seq2[*gatewayv1.Listener, error] {
	return pages(func(token string) ([]*gatewayv1.Listener, string, error) {
		r, err := a.ListListeners(ctx, &gatewayv1.ListListenersRequest{PageSize: maxPage, PageToken: token})
		return r.GetListeners(), r.GetNextPageToken(), err
	})
}

// Nodes are those of a name that discovery has found, in the order in which it did; all if
// it is empty.
func (a Admin) Nodes(ctx context.Context, name string) iter.Seq2[*gatewayv1.Node, error] {
	return pages(func(token string) ([]*gatewayv1.Node, string, error) {
		r, err := a.ListNodes(ctx, &gatewayv1.ListNodesRequest{Name: name, PageSize: maxPage, PageToken: token})
		return r.GetNodes(), r.GetNextPageToken(), err
	})
}

// Routes are all there are, in the order in which they are tried, those of the other nodes of a
// cluster included.
func (a Admin) Routes(ctx context.Context) iter.Seq2[*gatewayv1.RouteStatus, error] {
	return a.RoutesAt(ctx, "")
}

// RoutesAt is Routes of a node of the cluster, by its name or its id: each tries its own first.
func (a Admin) RoutesAt(ctx context.Context, node string) iter.Seq2[*gatewayv1.RouteStatus, error] {
	return pages(func(token string) ([]*gatewayv1.RouteStatus, string, error) {
		r, err := a.ListRoutes(ctx, &gatewayv1.ListRoutesRequest{PageSize: maxPage, PageToken: token, Node: node})
		return r.GetRoutes(), r.GetNextPageToken(), err
	})
}

// pages iterates over all entries of a list. An error is the last thing.
func pages[T any](page func(token string) (entries []T, next string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for token := ""; ; {
			entries, next, err := page(token)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, entry := range entries {
				if !yield(entry, nil) {
					return
				}
			}
			if token = next; token == "" {
				return
			}
		}
	}
}

// Watch tells of flows, as WatchFlows does, until the context ends or the loop is left. An
// error is the last thing; the gateway that ends the call in good order is none.
func (a Admin) Watch(ctx context.Context, request *gatewayv1.WatchFlowsRequest) iter.Seq2[*gatewayv1.WatchFlowsResponse, error] {
	return func(yield func(*gatewayv1.WatchFlowsResponse, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := a.WatchFlows(ctx, request)
		for err == nil {
			var event *gatewayv1.WatchFlowsResponse
			if event, err = stream.Recv(); err == nil && !yield(event, nil) {
				return
			}
		}
		if err != io.EOF { //nolint:errorlint // gRPC returns it as it is
			yield(nil, err)
		}
	}
}
