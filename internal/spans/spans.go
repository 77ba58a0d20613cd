// Package spans is an OpenTelemetry collector for tests.
package spans

import (
	"context"
	"net"
	"testing"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
)

// Collector keeps what it is sent over gRPC.
type Collector struct {
	collectorpb.UnimplementedTraceServiceServer
	// URL is where it listens: http://HOST:PORT.
	URL string
	// Batches is what has come. A test that leaves more than 1,000 there holds up who exports.
	Batches chan *collectorpb.ExportTraceServiceRequest
}

// Start starts one on loopback, until the test ends.
func Start(t testing.TB, options ...grpc.ServerOption) *Collector {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &Collector{URL: "http://" + listener.Addr().String(), Batches: make(chan *collectorpb.ExportTraceServiceRequest, 1000)}
	s := grpc.NewServer(options...)
	collectorpb.RegisterTraceServiceServer(s, c)
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return c
}

// Export implements collectorpb.TraceServiceServer.
func (c *Collector) Export(_ context.Context, r *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	c.Batches <- r
	return &collectorpb.ExportTraceServiceResponse{}, nil
}
