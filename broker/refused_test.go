package broker_test

import (
	"testing"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// TestRefusedBotsHoldNothing: a BOT that becomes no flow is in no account afterwards,
// whatever it was refused for: else a client that tries again uses up the budget, and
// everybody is refused from then on.
func TestRefusedBotsHoldNothing(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	open := func(b *broker.Broker, kept *[]transport.Delivery) *broker.Peer {
		p := b.Attach(keepingLink{kept}, transport.PeerInfo{Transport: "fake"})
		p.Receive(&zio.Message{
			Form: zio.FormFlow, Label: []byte(`{"flow":"BOT","direction":"extract","credit":4}`), Payload: [][]byte{make([]byte, size)},
		})
		return p
	}
	for name, refuse := range map[string]struct {
		change func(*broker.Options)
		before func(*broker.Broker) (undo func())
		reason flow.Reason
	}{
		"draining": {nil, func(b *broker.Broker) func() {
			b.Drain()
			return func() { b.Undrain() }
		}, flow.Draining},
		"full": {func(o *broker.Options) { o.MaxMessage, o.MaxBytes, o.MaxFlowBytes = 8*size, 8*size, 8*size }, func(b *broker.Broker) func() {
			a := b.Attach(silentLink{}, transport.PeerInfo{Transport: "fake"}).Bytes()
			a.Add(8 * size)
			return func() { a.Release(8 * size) }
		}, flow.Overloaded},
		"pending": {func(o *broker.Options) { o.MaxPending = 1 }, func(b *broker.Broker) func() {
			p := open(b, new([]transport.Delivery))
			return func() { p.Leave("gone") }
		}, flow.Overloaded},
		"flows": {func(o *broker.Options) { o.MaxFlows = 1 }, func(b *broker.Broker) func() {
			p := open(b, new([]transport.Delivery))
			return func() { p.Leave("gone") }
		}, flow.Overloaded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := newBroker(t, refuse.change)
			undo := refuse.before(b)
			held := b.Held()
			for range 20 {
				var kept []transport.Delivery
				p := open(b, &kept)
				if len(kept) != 1 || kept[0].Type != zio.EOT || kept[0].Reason != refuse.reason {
					t.Fatalf("a BOT was answered %+v, want an EOT for %v", kept, refuse.reason)
				}
				if p.Bytes().Held() != 0 || b.Held() != held {
					t.Fatalf("%d bytes of a refused BOT are held", b.Held()-held)
				}
			}
			undo()
			if b.Held() != 0 {
				t.Errorf("%d bytes are held in the end", b.Held())
			}
			var kept []transport.Delivery
			open(b, &kept)
			if len(kept) > 0 {
				t.Errorf("a BOT is refused afterwards: %+v", kept)
			}
		})
	}
}
