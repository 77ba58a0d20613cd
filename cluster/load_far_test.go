package cluster_test

import (
	"testing"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// shows waits until the node shows that the only listener at another has so many flows.
func (n *node) shows(at *node, flows uint32) {
	n.t.Helper()
	until(n.t, "it knows how many flows the listener has", func() bool {
		r, err := n.admin().ListListeners(n.t.Context(), &gatewayv1.ListListenersRequest{Node: at.name})
		return err == nil && len(r.GetListeners()) == 1 && r.GetListeners()[0].GetFlows() == flows
	})
}

// TestFarLoad: a node knows how many flows a listener of another has from elsewhere. One that is
// full is offered nothing until it has room, also where as many come as go, of which nobody tells.
func TestFarLoad(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	start := func(name string, join ...*node) *node {
		c := r.config(name, join...)
		c.Limits.PendingTimeout = patience
		return r.run(c)
	}
	a := start("a")
	b := start("b", a)
	l := b.listen(&gatewayv1.ListenRequest{Name: "raw", MaxFlows: 3})
	a.knows(1, 1)
	accept := func(client *stream) (handler *stream) {
		t.Helper()
		handler = b.open(&gatewayv1.Bot{Cid: l.next().GetCid(), Direction: inject, Credit: 1})
		handler.next()
		client.next()
		return handler
	}
	begin := func(at *node) (client, handler *stream) {
		t.Helper()
		client = at.open(&gatewayv1.Bot{Direction: extract, Credit: 1})
		return client, accept(client)
	}
	end := func(client, handler *stream) {
		t.Helper()
		client.eot()
		handler.ends()
		handler.eot()
		client.ends()
	}
	first, firstHandler := begin(b)
	a.shows(b, 1)
	second, secondHandler := begin(b)
	a.shows(b, 2)
	end(first, firstHandler)
	begin(a) // in its place
	begin(a) // a third one, for which there is room
	a.shows(b, 3)
	waiting := a.open(&gatewayv1.Bot{Direction: extract, Credit: 1})
	until(t, "the flow waits", func() bool { return a.Broker().Live() == 3 })
	end(second, secondHandler)
	accept(waiting)
	a.shows(b, 3)
}
