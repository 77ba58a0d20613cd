package server

import (
	"testing"
	"testing/synctest"
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
	synctest.Test(t, func(t *testing.T) {
		const dats = 10
		registry := prometheus.NewRegistry()
		r := newSlowRig(t, func(o *Options) { o.Stall, o.Registry = time.Hour, registry })
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
		for c := range r.broker.PeersBefore(broker.Latest, "grpc") {
			if c.Link.QueuedMessages < dats/2 || c.Link.QueuedBytes < dats/2*heavy {
				t.Errorf("%d messages of %d bytes are queued", c.Link.QueuedMessages, c.Link.QueuedBytes)
			}
			if _, err := r.broker.Disconnect(c.ID, "enough"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(disconnectGrace - 1)
		synctest.Wait()
		if n := other.freed.Load(); n >= other.made {
			t.Errorf("%d messages are released before the grace is over", n)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if n := other.freed.Load(); n != other.made {
			t.Errorf("%d of %d messages are released", n, other.made)
		}
		for err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != codes.Canceled {
			t.Errorf("the stream ended with %v, want Canceled", err)
		}
		if n := handled(t, registry, codes.Aborted); n != 1 {
			t.Errorf("%v calls have ended as such", n)
		}
	})
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
