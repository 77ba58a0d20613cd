package top

import (
	"testing"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// TestMoved: what a node has passed on before it was seen first, or before it began anew, is no
// part of a rate.
func TestMoved(t *testing.T) {
	t.Parallel()
	status := func(nodes ...*gatewayv1.NodeStatus) sums {
		return sumsOf(&gatewayv1.GetStatusResponse{Messages: 1 << 40, NodeStatuses: nodes})
	}
	node := func(id string, messages, bytes uint64) *gatewayv1.NodeStatus {
		return &gatewayv1.NodeStatus{NodeId: id, Status: &gatewayv1.GetStatusResponse{Messages: messages, Bytes: bytes}}
	}
	before := status(node("a", 100, 1000), node("again", 70, 700), node("silent", 5, 50))
	now := status(node("a", 150, 3048), node("again", 10, 100), node("new", 5000, 50_000))
	if messages, bytes := now.since(before); messages != 50 || bytes != 2048 {
		t.Errorf("%d messages of %d bytes have moved", messages, bytes)
	}
	alone := func(messages uint64) sums { return sumsOf(&gatewayv1.GetStatusResponse{Messages: messages}) }
	now = alone(9)
	if messages, _ := now.since(alone(2)); messages != 7 {
		t.Errorf("%d messages have moved through one gateway", messages)
	}
}
