package server

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"

	"github.com/zioflow/gateway/broker/flow"
)

// heldConn is a client's connection that it never closes; frozen, it does not read either.
type heldConn struct {
	net.Conn
	frozen chan struct{} // closed when it is
	over   chan struct{} // closed by the test
}

func (h *heldConn) Close() error { return nil }

func (h *heldConn) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	select {
	case <-h.frozen:
		<-h.over
		return 0, io.EOF
	default:
		return n, err
	}
}

// TestStopWaitsForNoWatcher: neither for one that holds its connection, nor for one that does
// not read any more.
func TestStopWaitsForNoWatcher(t *testing.T) {
	for what, watch := range map[string]func(context.Context, *grpc.ClientConn) (any, error){
		"health": func(ctx context.Context, c *grpc.ClientConn) (any, error) {
			stream, err := healthpb.NewHealthClient(c).Watch(ctx, &healthpb.HealthCheckRequest{})
			if err == nil {
				_, err = stream.Recv()
			}
			return stream, err
		},
		"reflection": func(ctx context.Context, c *grpc.ClientConn) (any, error) {
			stream, err := grpc_reflection_v1.NewServerReflectionClient(c).ServerReflectionInfo(ctx)
			if err == nil {
				err = stream.Send(&grpc_reflection_v1.ServerReflectionRequest{
					MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{},
				})
			}
			if err == nil {
				_, err = stream.Recv()
			}
			return stream, err
		},
		"nothing": func(ctx context.Context, c *grpc.ClientConn) (any, error) {
			return healthpb.NewHealthClient(c).Check(ctx, &healthpb.HealthCheckRequest{})
		},
	} {
		for _, frozen := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				r := adminRig(t, func(*Options) {})
				held := &heldConn{frozen: make(chan struct{}), over: make(chan struct{})}
				client, err := grpc.NewClient("passthrough:gateway", grpc.WithTransportCredentials(insecure.NewCredentials()),
					grpc.WithContextDialer(func(ctx context.Context, _ string) (_ net.Conn, err error) {
						held.Conn, err = r.dial(ctx)
						return held, err
					}))
				if err != nil {
					t.Fatal(err)
				}
				if _, err = watch(r.ctx, client); err != nil {
					t.Fatal(err)
				}
				if frozen {
					close(held.frozen)
				}
				r.broker.Close(flow.Draining, "the test is over")
				begin := time.Now() // of the bubble's clock
				r.server.Stop(context.Background())
				if took := time.Since(begin); took > 500*time.Millisecond {
					t.Errorf("%s, frozen %v: the stop took %v", what, frozen, took)
				}
				close(held.over)
				_ = client.Close()
				_ = held.Conn.Close()
				r.stop()
			})
		}
	}
}
