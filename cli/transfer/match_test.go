package transfer

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker/zio"
	zioflow "github.com/zioflow/gateway/clients/go"
	"github.com/zioflow/gateway/gateway"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// TestListenOutlivesItsConnection: who waits for a flow goes on to wait when the gateway has it come
// by a newer connection.
func TestListenOutlivesItsConnection(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *gateway.Config) { c.GRPC.MaxConnectionAge = 200 * time.Millisecond })
	g := s.dial(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	l := listen(ctx, g, "test", "true", zio.Inject, 1)
	defer l.close()
	seen := map[uint64]bool{}
	for len(seen) < 3 {
		select {
		case <-l.ended:
			t.Fatalf("the listener has ended after %d connections: %v", len(seen), l.err)
		case <-ctx.Done():
			t.Fatalf("it has listened by %d connections", len(seen))
		case <-time.After(time.Millisecond):
		}
		list, err := g.Admin().ListListeners(ctx, &gatewayv1.ListListenersRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for _, listener := range list.GetListeners() {
			seen[listener.GetId()] = true
		}
	}
	go func() { _, _ = g.Give(ctx, zioflow.Bot{Credit: 1}) }()
	select {
	case <-l.offers:
	case <-ctx.Done():
		t.Error("no flow came")
	}
}

// TestListenEndsWithItsGateway tells what the gateway has said, and not that it is gone.
func TestListenEndsWithItsGateway(t *testing.T) {
	t.Parallel()
	s := serve(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	l := listen(ctx, s.dial(t), "test", "true", zio.Inject, 1)
	defer l.close()
	<-l.listening
	s.stop()
	<-l.ended
	if zioflow.ReasonOf(l.err) != zioflow.Draining || !strings.Contains(l.err.Error(), "the gateway is shutting down") {
		t.Errorf("it ended with %v", l.err)
	}
}
