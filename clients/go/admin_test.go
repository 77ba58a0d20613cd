package zioflow_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
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

func (p pagedGateway) ListNodes(_ context.Context, r *gatewayv1.ListNodesRequest) (*gatewayv1.ListNodesResponse, error) {
	first, next, err := p.page(r.GetPageToken(), r.GetPageSize())
	return &gatewayv1.ListNodesResponse{Nodes: []*gatewayv1.Node{{Id: first, Name: r.GetName()}, {Id: first + 1}}, NextPageToken: next}, err
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
		var flows, peers, listeners, routes, nodes, events int
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
		for n, err := range a.Nodes(t.Context(), "raw") {
			if err != nil || n.GetId() != uint64(nodes) || nodes%2 == 0 && n.GetName() != "raw" {
				t.Fatal(n, err)
			}
			nodes++
		}
		for _, err := range a.Watch(t.Context(), &gatewayv1.WatchFlowsRequest{}) {
			if err != nil {
				t.Fatal(err)
			}
			events++
		}
		if flows != 6 || peers != 3 || listeners != 6 || routes != 6 || nodes != 6 || events != 3 {
			t.Errorf("%d flows, %d peers, %d listeners, %d routes, %d nodes, %d events", flows, peers, listeners, routes, nodes, events)
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

// TestGateway_Explain: the words of an admin's error, with the status within.
func TestGateway_Explain(t *testing.T) {
	g, err := zioflow.Dial("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = g.Close() }()
	if g.Explain(nil) != nil {
		t.Error("no error is one")
	}
	unverified, err := status.New(codes.Unavailable, "not just now").WithDetails(&errdetails.ErrorInfo{Domain: "gateway.zioflow", Reason: "NO_ISSUER_KEYS"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = g.Admin().GetStatus(t.Context(), &gatewayv1.GetStatusRequest{})
	for _, c := range []struct {
		err   error
		words string
	}{
		{err, "zioflow: nothing listens at 127.0.0.1:1: is the gateway running, with this --grpc?"},
		{status.Error(codes.Unavailable, `connection error: desc = "transport: Error while dialing: dial unix /tmp/g: connect: no such file or directory"`),
			"zioflow: there is no socket at 127.0.0.1:1: is the gateway running, with this --grpc?"},
		{status.Error(codes.Unavailable, `connection error: desc = "transport: Error while dialing: dial unix /tmp/g: connect: permission denied"`),
			"zioflow: this user may not connect to 127.0.0.1:1: the socket is for its owner and group"},
		{status.Error(codes.NotFound, "there is no\nflow 7"), "zioflow: there is no flow 7"},
		{status.Error(codes.Unauthenticated, "no identity has the token"), "zioflow: the gateway at 127.0.0.1:1 does not let this program in: no identity has the token"},
		{unverified.Err(), "zioflow: the gateway at 127.0.0.1:1 does not let this program in: not just now"},
		{status.Error(codes.PermissionDenied, "it takes admin"), "zioflow: the gateway at 127.0.0.1:1 does not allow this: it takes admin"},
		{status.Error(codes.DeadlineExceeded, "…"), "zioflow: the gateway at 127.0.0.1:1 did not reply in time"},
		{status.Error(codes.Unimplemented, "…"), "zioflow: what listens at 127.0.0.1:1 has no such call: is it a gateway, and not older than this program?"},
	} {
		explained := g.Explain(c.err)
		if explained.Error() != c.words || status.Code(explained) != status.Code(c.err) {
			t.Errorf("%v, %v, want %s", explained, status.Code(explained), c.words)
		}
	}
}
