package broker_test

import (
	"fmt"
	"testing"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// keepingLink keeps what it is delivered.
type keepingLink struct{ kept *[]transport.Delivery }

func (k keepingLink) Deliver(d transport.Delivery) error { *k.kept = append(*k.kept, d); return nil }
func (keepingLink) Ended(flow.Reason, string)            {}
func (keepingLink) Flush()                               {}
func (keepingLink) Queued() (messages, bytes int64)      { return 0, 0 }

// TestAnswersAreCharged: what a handler answers is one copy for both sides, charged to it
// until both have taken it, also if it goes on to answer others.
func TestAnswersAreCharged(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	b, cids := newBroker(t, nil)
	var toClients, toHandler []transport.Delivery
	handler := b.Attach(keepingLink{&toHandler}, transport.PeerInfo{Transport: "fake", Identity: "h"})
	const flows = 3
	for range flows {
		client := b.Attach(keepingLink{&toClients}, transport.PeerInfo{Transport: "fake", Identity: "c"})
		client.Receive(&zio.Message{Form: zio.FormFlow, Label: []byte(`{"flow":"BOT","direction":"extract","credit":4}`)})
		handler.Receive(&zio.Message{
			Form: zio.FormFlow, Label: fmt.Appendf(nil, `{"flow":"BOT","direction":"inject","credit":4,"cid":%d}`, <-cids),
			Payload: [][]byte{make([]byte, size)},
		})
	}
	want := func(n int64) {
		t.Helper()
		if held, own := b.Held(), handler.Bytes().Held(); held < n*size || held > n*size+n*1024 || own != held {
			t.Errorf("%d bytes are held, %d of them the handler's; want %d MiB", held, own, n)
		}
	}
	bots := func(of []transport.Delivery) (messages []*zio.Message) {
		for _, d := range of {
			if d.Type == zio.BOT {
				messages = append(messages, d.Message)
			} else {
				d.Message.Release()
			}
		}
		if len(messages) != flows {
			t.Fatalf("%d BOTs were delivered, want %d", len(messages), flows)
		}
		return messages
	}
	clients, handlers := bots(toClients), bots(toHandler)
	want(flows)
	for i := range flows {
		if &clients[i].Payload[0][0] != &handlers[i].Payload[0][0] {
			t.Error("both sides have a copy of their own")
		}
		clients[i].Release()
		want(int64(flows - i))
		handlers[i].Release()
		want(int64(flows - i - 1))
	}
}
