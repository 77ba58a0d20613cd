package server

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// TestDisconnectDoesNotWaitForWhoDoesNotRead: a stream that takes nothing is aborted
// when its grace is over, and lets go of all that waits for it.
func TestDisconnectDoesNotWaitForWhoDoesNotRead(t *testing.T) {
	t.Parallel()
	const dats = 10
	registry := prometheus.NewRegistry()
	r := newRigWith(t, func(o *Options) { o.Stall, o.Registry = time.Hour, registry })
	defer r.stop()
	stream, err := r.flows.Open(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	openRequest(botOf(gatewayv1.Direction_DIRECTION_INJECT, dats), stream, t)
	other := r.accept(t)
	openRequest(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Pay{Pay: &gatewayv1.Pay{Credit: dats}}}, stream, t)
	other.takePay(t, r)
	for range dats {
		other.say(`{"flow":"DAT"}`, [][]byte{make([]byte, heavy)})
	}
	begin := time.Now()
	for c := range r.broker.PeersBefore(broker.Latest, "grpc") {
		if c.Link.QueuedMessages < dats/2 || c.Link.QueuedBytes < dats/2*heavy {
			t.Errorf("%d messages of %d bytes are queued", c.Link.QueuedMessages, c.Link.QueuedBytes)
		}
		if _, err := r.broker.Disconnect(c.ID, "enough"); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "all is released", func() bool { return other.freed.Load() >= other.made })
	if took := time.Since(begin); took < disconnectGrace || took > 3*disconnectGrace {
		t.Errorf("it took %v, want %v", took, disconnectGrace)
	}
	for err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.Canceled {
		t.Errorf("the stream ended with %v, want Canceled", err)
	}
	await(t, "the call has ended as such", func() bool { return handled(t, registry, codes.Aborted) == 1 })
}

// handled is how many calls have ended with that status.
func handled(t *testing.T, registry *prometheus.Registry, code codes.Code) (n float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if family.GetName() == "grpc_server_handled_total" && label.GetName() == "grpc_code" && label.GetValue() == code.String() {
					n += metric.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}
