package gateway

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/zioflow/gateway/gateway/config"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// TestHealthIsReadiness: whoever watches the health of the server, or of a service, by gRPC is
// told what /readyz says: not by a drain alone that new peers should not come.
func TestHealthIsReadiness(t *testing.T) {
	t.Parallel()
	c := onLoopback()
	var broken atomic.Bool
	c.Reread = func() (*config.Revision, error) {
		if broken.Load() {
			return nil, errors.New("no such file")
		}
		return &config.Revision{Config: c}, nil
	}
	g := mustNew(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, err := grpc.NewClient(g.Addresses().GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var watches []healthpb.Health_WatchClient
	for _, service := range []string{"", gatewayv1.FlowService_ServiceDesc.ServiceName, gatewayv1.AdminService_ServiceDesc.ServiceName} {
		watch, err := healthpb.NewHealthClient(conn).Watch(ctx, &healthpb.HealthCheckRequest{Service: service})
		if err != nil {
			t.Fatal(err)
		}
		watches = append(watches, watch)
	}
	wants := func(when string, want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		for i, watch := range watches {
			if told, err := watch.Recv(); err != nil || told.GetStatus() != want {
				t.Fatalf("%s, watch %d is told %v, %v, want %v", when, i, told.GetStatus(), err, want)
			}
		}
	}
	const serving, not = healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING
	wants("at first", serving)
	broken.Store(true)
	if _, err := g.Reload(); err == nil {
		t.Fatal("it was reloaded")
	}
	wants("after a reload that has failed", not)
	g.Drain()
	if err := g.Undrain(); err != nil {
		t.Fatal(err)
	}
	if told, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{}); err != nil || told.GetStatus() != not {
		t.Errorf("undrained, the reload being as it was: %v, %v", told.GetStatus(), err)
	}
	broken.Store(false)
	if _, err := g.Reload(); err != nil {
		t.Fatal(err)
	}
	wants("after one that has succeeded", serving)
	g.Drain()
	wants("drained", not)
	if err := g.Undrain(); err != nil {
		t.Fatal(err)
	}
	wants("undrained", serving)
}
