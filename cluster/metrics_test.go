package cluster_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// metrics are those of the node that concern the cluster, by series.
func (n *node) metrics() map[string]float64 {
	n.t.Helper()
	families, err := n.Metrics().Gather()
	if err != nil {
		n.t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		name, is := strings.CutPrefix(f.GetName(), "zio_gateway_cluster_")
		for _, m := range f.GetMetric() {
			series := name
			for _, l := range m.GetLabel() {
				series += " " + l.GetValue()
			}
			if is {
				all[series] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return all
}

// has waits until the metrics have these values.
func (n *node) has(want map[string]float64) {
	n.t.Helper()
	until(n.t, fmt.Sprintf("%s has %v", n.name, want), func() bool {
		is := n.metrics()
		maps.DeleteFunc(is, func(series string, _ float64) bool { _, asked := want[series]; return !asked })
		return maps.Equal(is, want)
	})
}

// TestClusterMetrics: what both nodes count of a flow that is carried, and of each other.
func TestClusterMetrics(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.start("a")
	b := r.start("b", a)
	l := b.listen(&gatewayv1.ListenRequest{Name: "raw"})
	a.knows(1, 1)
	a.has(map[string]float64{
		"info test a": 1, "nodes serving": 2, "nodes draining": 0, "node_listeners a": 0, "node_listeners b": 1, "node_behind b": 0,
		"nodes_joined_total": 1, "nodes_left_total silent": 0, "nodes_refused_total stranger": 0, "flows in b": 0, "flows out b": 0,
		"nats_connected": 1, "nats_routes": 1,
	})
	before := a.metrics()
	client := a.open(&gatewayv1.Bot{Direction: extract, Credit: 10})
	handler := b.open(&gatewayv1.Bot{Cid: l.next().GetCid(), Direction: inject, Credit: 10})
	handler.next()
	client.next()
	a.has(map[string]float64{"flows out b": 1, "flows in b": 0, "flows_carried_total out": 1, "flows_carried_total in": 0})
	b.has(map[string]float64{"flows out a": 0, "flows in a": 1, "flows_carried_total out": 0, "flows_carried_total in": 1})
	const size = 100_000
	handler.pay(1)
	client.next()
	client.dat(strings.Repeat("x", size))
	handler.next()
	if sent := a.metrics()["bytes_total out"] - before["bytes_total out"]; sent < size || sent > 2*size {
		t.Errorf("a has sent %.0f bytes, of which %d are of the flow", sent, size)
	}
	if came := b.metrics()["bytes_total in"]; came < size {
		t.Errorf("%.0f bytes have come to b, want %d and more", came, size)
	}
	client.eot()
	handler.ends()
	handler.eot()
	client.ends()
	a.has(map[string]float64{"flows out b": 0, "flows_carried_total out": 1})
	b.has(map[string]float64{"flows in a": 0, "flows_carried_total in": 1})
	b.Drain()
	a.has(map[string]float64{"nodes serving": 1, "nodes draining": 1})
	b.stop()
	a.has(map[string]float64{"nodes serving": 1, "nodes draining": 0, "nodes_left_total gone": 1, "nodes_left_total silent": 0, "nats_routes": 0})
	if _, there := a.metrics()["node_listeners b"]; there {
		t.Error("a node that has left is still measured")
	}
}
