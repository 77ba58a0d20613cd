package server_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server"
)

// TestWhoItIs: the name that a caller shows and its user agent are seen of the peer and in
// the log, bounded and printable.
func TestWhoItIs(t *testing.T) {
	t.Parallel()
	log := newLines()
	f := startWith(t, func(o *broker.Options) { o.Log = log.logger() }, func(o *server.Options) { o.Log = log.logger() })
	ctx := metadata.AppendToOutgoingContext(f.ctx, "zio-client-name", "reader 7 "+strings.Repeat("x", 1000))
	stream, err := f.flows.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	send(t, stream, bot(&gatewayv1.Bot{Direction: gatewayv1.Direction_DIRECTION_EXTRACT, Credit: 1, Label: `{"run":"` + strings.Repeat("r", 2000) + `"}`}))
	awaitCredit(t, stream)
	peer := f.peer(t).GetPeer()
	if !strings.HasPrefix(peer.GetIdentity(), "reader 7 xxx") || len(peer.GetIdentity()) > 128 || !strings.HasPrefix(peer.GetAgent(), "grpc-go/") {
		t.Errorf("the peer is %v", peer)
	}
	send(t, stream, dat(&gatewayv1.Dat{Payload: [][]byte{[]byte("xyz")}}))
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	transcript(stream)
	line := log.await(f.ctx, t, "flow ended")
	attributes, _ := line["attributes"].(string)
	if !strings.HasPrefix(attributes, `{"run":"rrrr`) || len(attributes) > 512 || line["route"] != "dump" || line["bytes"] != 3.0 ||
		!strings.HasPrefix(line["client_agent"].(string), "grpc-go/") || line["bytes_per_second"].(float64) <= 0 || line["duration"].(float64) <= 0 {
		t.Errorf("the line is %v", line)
	}
}

// TestWatchResumes: who goes on after an event misses none; of an event that is too old, or
// has not been, the caller is told.
func TestWatchResumes(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	ended := []gatewayv1.FlowState{gatewayv1.FlowState_FLOW_STATE_ENDED}
	first := f.watch(t, &gatewayv1.WatchFlowsRequest{States: ended})
	for range 3 {
		if err := oneOpen(f.ctx, f.flows); err == nil {
			t.Fatal("no end")
		}
	}
	seen, err := first.Recv()
	if err != nil || seen.GetEvent() == 0 {
		t.Fatal(seen, err)
	}
	again := f.watch(t, &gatewayv1.WatchFlowsRequest{States: ended, AfterEvent: seen.GetEvent()})
	for id := uint64(2); id <= 3; id++ {
		if e, err := again.Recv(); err != nil || e.GetFlow().GetId() != id || e.GetMissed() != 0 {
			t.Errorf("got %v, %v, want the end of flow %d", e, err, id)
		}
	}
	for id, want := range map[uint64]string{1: "remembered no more", seen.GetEvent() + 1000: "there has been no event"} {
		stream, err := f.admin.WatchFlows(f.ctx, &gatewayv1.WatchFlowsRequest{AfterEvent: id})
		if err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != codes.OutOfRange || !strings.Contains(err.Error(), want) {
			t.Errorf("after event %d: %v", id, err)
		}
	}
}
