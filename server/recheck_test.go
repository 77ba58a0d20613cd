package server_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server"
)

// TestWithdrawnRightsEndLongCalls: at the next event, and soon without one.
func TestWithdrawnRightsEndLongCalls(t *testing.T) {
	t.Parallel()
	g := startGuarded(t, func(o *server.Options) { o.Process = process{} })
	boss, conn := g.as(t, "boss's token", nil)
	watch, err := gatewayv1.NewAdminServiceClient(conn).WatchFlows(boss.ctx, &gatewayv1.WatchFlowsRequest{})
	if err == nil {
		_, err = watch.Header()
	}
	if err != nil {
		t.Fatal(err)
	}
	quiet, err := gatewayv1.NewAdminServiceClient(conn).WatchFlows(boss.ctx, &gatewayv1.WatchFlowsRequest{Filter: "id == 0"})
	if err == nil {
		_, err = quiet.Header()
	}
	if err != nil {
		t.Fatal(err)
	}
	hand, _ := g.as(t, "hand's token", nil)
	listening, err := hand.handlers.Listen(hand.ctx, &gatewayv1.ListenRequest{Name: "l", Match: "attributes.count == 4"})
	if err == nil {
		_, err = listening.Recv()
	}
	if err != nil {
		t.Fatal(err)
	}
	g.policy.Replace(rulesOf(t, strings.NewReplacer("name: boss", "name: former", "name: hand", "name: late").Replace(identities)))

	reader, _ := g.as(t, "reader's token", nil)
	if m, err := reader.open(t, taking(1)).Recv(); err != nil || m.GetBot() == nil {
		t.Fatalf("%v, %v", m, err)
	}
	for name, stream := range map[string]grpc.ClientStream{"watch with an event": watch, "watch without": quiet, "listener": listening} {
		if err := stream.RecvMsg(new(gatewayv1.DeclineResponse)); status.Code(err) != codes.PermissionDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
	if flows := g.broker.Flows(); len(flows) != 1 {
		t.Errorf("%d flows", len(flows))
	}
}
