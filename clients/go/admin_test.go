package zioflow_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	zioflow "github.com/zioflow/gateway/clients/go"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// pagedGateway has lists of pages with two entries each, and fails at a page if told to.
type pagedGateway struct {
	gatewayv1.UnimplementedAdminServiceServer
	pages, failAt int
}

// page returns the ids of a page, and the next one's token.
func (p pagedGateway) page(token string, size int32) (first uint64, next string, err error) {
	n, _ := strconv.Atoi(token)
	if size != 1000 || n == p.failAt {
		return 0, "", status.Errorf(codes.Unavailable, "page %d of %d", n, size)
	}
	if n+1 < p.pages {
		next = strconv.Itoa(n + 1)
	}
	return uint64(2 * n), next, nil
}

func (p pagedGateway) ListFlows(_ context.Context, r *gatewayv1.ListFlowsRequest) (*gatewayv1.ListFlowsResponse, error) {
	if r.GetFilter() != "credit > 1" || fmt.Sprint(r.GetStates()) != "[FLOW_STATE_ACTIVE FLOW_STATE_PENDING]" {
		return nil, status.Errorf(codes.InvalidArgument, "asked for %v", r)
	}
	first, next, err := p.page(r.GetPageToken(), r.GetPageSize())
	return &gatewayv1.ListFlowsResponse{Flows: []*gatewayv1.Flow{{Id: first}, {Id: first + 1}}, NextPageToken: next}, err
}

func (p pagedGateway) ListPeers(_ context.Context, r *gatewayv1.ListPeersRequest) (*gatewayv1.ListPeersResponse, error) {
	first, next, err := p.page(r.GetPageToken(), r.GetPageSize())
	return &gatewayv1.ListPeersResponse{Peers: []*gatewayv1.ConnectedPeer{{Id: first}, {Id: first + 1}}, NextPageToken: next}, err
}

func (p pagedGateway) ListListeners(_ context.Context, r *gatewayv1.ListListenersRequest) (*gatewayv1.ListListenersResponse, error) {
	first, next, err := p.page(r.GetPageToken(), r.GetPageSize())
	return &gatewayv1.ListListenersResponse{Listeners: []*gatewayv1.Listener{{Id: first}, {Id: first + 1}}, NextPageToken: next}, err
}

func (p pagedGateway) ListRoutes(_ context.Context, r *gatewayv1.ListRoutesRequest) (*gatewayv1.ListRoutesResponse, error) {
	first, next, err := p.page(r.GetPageToken(), r.GetPageSize())
	return &gatewayv1.ListRoutesResponse{Routes: []*gatewayv1.RouteStatus{{Taken: first}, {Taken: first + 1}}, NextPageToken: next}, err
}

func (p pagedGateway) WatchFlows(_ *gatewayv1.WatchFlowsRequest, stream grpc.ServerStreamingServer[gatewayv1.WatchFlowsResponse]) error {
	for n := range p.pages {
		if n == p.failAt {
			return status.Error(codes.Unavailable, "gone")
		}
		if err := stream.Send(&gatewayv1.WatchFlowsResponse{Missed: uint64(n)}); err != nil {
			return err
		}
	}
	return nil
}

func serveAdmin(t *testing.T, p pagedGateway) zioflow.Admin {
	s := grpc.NewServer()
	gatewayv1.RegisterAdminServiceServer(s, p)
	l := bufconn.Listen(1 << 20)
	served := background(func() error { return s.Serve(l) })
	g := dial(l)
	t.Cleanup(func() {
		_ = g.Close()
		s.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return g.Admin()
}

// TestAdmin_lists goes through all pages, and stops where it is told to.
func TestAdmin_lists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serveAdmin(t, pagedGateway{pages: 3, failAt: -1})
		var flows, peers, listeners, routes, events int
		for f, err := range a.Flows(t.Context(), "credit > 1", gatewayv1.FlowState_FLOW_STATE_ACTIVE, gatewayv1.FlowState_FLOW_STATE_PENDING) {
			if err != nil || f.GetId() != uint64(flows) {
				t.Fatal(f, err)
			}
			flows++
		}
		for _, err := range a.Peers(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			if peers++; peers == 3 {
				break
			}
		}
		for _, err := range a.Listeners(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			listeners++
		}
		for _, err := range a.Routes(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			routes++
		}
		for _, err := range a.Watch(t.Context(), &gatewayv1.WatchFlowsRequest{}) {
			if err != nil {
				t.Fatal(err)
			}
			events++
		}
		if flows != 6 || peers != 3 || listeners != 6 || routes != 6 || events != 3 {
			t.Errorf("%d flows, %d peers, %d listeners, %d routes, %d events", flows, peers, listeners, routes, events)
		}
	})
}

// TestAdmin_fails has the error as the last thing.
func TestAdmin_fails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serveAdmin(t, pagedGateway{pages: 3, failAt: 1})
		var got []string
		for r, err := range a.Routes(t.Context()) {
			got = append(got, fmt.Sprint(r.GetTaken(), status.Code(err)))
		}
		for e, err := range a.Watch(t.Context(), &gatewayv1.WatchFlowsRequest{}) {
			got = append(got, fmt.Sprint(e.GetMissed(), status.Code(err)))
		}
		if want := "[0 OK 1 OK 0 Unavailable 0 OK 0 Unavailable]"; fmt.Sprint(got) != want {
			t.Errorf("got %v, want %s", got, want)
		}
	})
}
