package server_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"

	"github.com/zioflow/gateway/broker/flow"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// watch begins to watch, until the test's end, and returns when that is so.
func (f *front) watch(t *testing.T, r *gatewayv1.WatchFlowsRequest) gatewayv1.AdminService_WatchFlowsClient {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	watch, err := f.admin.WatchFlows(ctx, r)
	if err == nil {
		_, err = watch.Header()
	}
	if err != nil {
		t.Fatal(err)
	}
	return watch
}

func TestWatchFlows(t *testing.T) {
	f := start(t, nil)
	all := f.watch(t, &gatewayv1.WatchFlowsRequest{})
	some := f.watch(t, &gatewayv1.WatchFlowsRequest{
		Filter: "attributes.n == 1", States: []gatewayv1.FlowState{gatewayv1.FlowState_FLOW_STATE_ENDED},
	})
	clients, _ := f.crowd(t, 2)
	clients[0].Leave("gone")
	clients[1].Leave("gone")
	for i, want := range []struct {
		id    uint64
		state gatewayv1.FlowState
	}{{1, 1}, {1, 2}, {2, 1}, {2, 2}, {1, 4}, {2, 4}} {
		e, err := all.Recv()
		if err != nil || e.GetFlow().GetId() != want.id || e.GetFlow().GetState() != want.state || e.GetMissed() != 0 || e.GetTime() == nil {
			t.Errorf("event %d: %v, %v, want %v", i, e, err, want)
		}
	}
	if e, err := some.Recv(); err != nil || e.GetFlow().GetId() != 2 || e.GetFlow().GetReason() != gatewayv1.EndReason_END_REASON_PEER_GONE {
		t.Errorf("selected: %v, %v", e, err)
	}
	bad, err := f.admin.WatchFlows(f.ctx, &gatewayv1.WatchFlowsRequest{Filter: "("})
	if err == nil {
		_, err = bad.Recv()
	}
	wantStatus[*errdetails.BadRequest](t, err, codes.InvalidArgument, "filter")
}

// TestStoppedWatchers: ten of them do not read, and flows go on. Who reads
// again is told exactly how much it has missed.
func TestStoppedWatchers(t *testing.T) {
	const n = 2000
	f := start(t, nil)
	watches := make([]gatewayv1.AdminService_WatchFlowsClient, 10)
	for i := range watches {
		watches[i] = f.watch(t, &gatewayv1.WatchFlowsRequest{})
	}
	clients, _ := f.crowd(t, n)
	for _, c := range clients {
		c.Leave("gone")
	}
	if s := f.broker.Stats(); s.Ended[flow.PeerGone] != n {
		t.Fatalf("%d flows have ended, want %d", s.Ended[flow.PeerGone], n)
	}
	var missed uint64
	for seen := uint64(0); ; seen++ {
		if seen%100 == 99 { // there is room again for what it will be told next
			clients, _ := f.crowd(t, 1)
			clients[0].Leave("gone")
		}
		e, err := watches[0].Recv()
		if err != nil {
			t.Fatalf("after %d events and %d missed: %v", seen, missed, err)
		}
		if missed += e.GetMissed(); e.GetFlow() == nil {
			seen-- // it tells only that
			continue
		}
		if place := placeOf(e.GetFlow(), n); seen+missed != place {
			t.Fatalf("%d events and %d missed before event %d: %v", seen, missed, place, e)
		}
		if e.GetFlow().GetId() > n {
			break
		}
	}
	if missed == 0 {
		t.Error("the watcher has missed nothing: it was not slow enough for this test")
	}
}

// placeOf is how many events come before a flow's entering its state: n flows
// begin, each becoming active, then they end; every later one ends before the next
// begins.
func placeOf(f *gatewayv1.Flow, n uint64) uint64 {
	i, phase := f.GetId()-1, uint64(f.GetState())-1
	ended := f.GetState() == gatewayv1.FlowState_FLOW_STATE_ENDED
	switch {
	case ended && i < n:
		return 2*n + i
	case i < n:
		return 2*i + phase
	case ended:
		return 3*i + 2
	default:
		return 3*i + phase
	}
}
