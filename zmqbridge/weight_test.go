package zmqbridge_test

import (
	"testing"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/native"
	"github.com/zioflow/gateway/zmqbridge"
)

// offers implements listeners.Sink.
type offers chan routing.Offer

func (o offers) Offer(offer routing.Offer) error { o <- offer; return nil }

func (o offers) Withdraw(uint64, flow.Reason) {}

// Messages of many small parts wait in libzmq like others: they count, with what
// the parts take, until they have left.
func TestManySmallPartsCount(t *testing.T) {
	const dats, parts, size = 20, 20_000, 100
	b, bridge := openWith(t, func(*broker.Options) {}, func(o *zmqbridge.Options) {
		o.Routers, o.Stall = []string{"tcp://127.0.0.1:*"}, time.Minute
	})
	sink := make(offers, 1)
	if _, err := b.Listen(listeners.Spec{Name: "giver", Sink: sink}); err != nil {
		t.Fatal(err)
	}
	outbox := transport.NewOutbox(100)
	giver := b.Attach(outbox, transport.PeerInfo{Transport: "test"})
	defer giver.Leave("the test is over")
	say := func(label []byte, payload [][]byte) {
		giver.Receive(&zio.Message{Form: zio.FormFlow, Label: label, Payload: payload})
	}
	accepted := make(chan struct{})
	go func() {
		say((<-sink).Bot.Label, nil)
		close(accepted)
	}()
	peer, err := native.DialLimited(native.Dealer, bridge.Routers()[0], 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = peer.Close(0) }()
	taker, err := native.Open(peer, 0, []byte(`{"flow":"BOT","direction":"inject","credit":20}`), nil, timeout)
	if err != nil {
		t.Fatal(err)
	}
	<-accepted
	if err := taker.Pay(dats); err != nil {
		t.Fatal(err)
	}
	for paid := false; !paid; {
		batch, err := outbox.Take(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		paid = batch[len(batch)-1].Type == zio.PAY
	}
	payload := make([][]byte, parts)
	for i := range payload {
		payload[i] = make([]byte, size)
	}
	label := []byte(`{"flow":"DAT"}`)
	weight := int64((&zio.Message{Label: label, Payload: payload}).Weight())
	for range dats {
		say(label, payload)
	}
	waitUntilStill(t, b)
	if queued := b.Flows()[0].QueuedBytes; queued < dats*weight/2 || queued > dats*weight {
		t.Errorf("%d bytes wait, want most of %d", queued, dats*weight)
	}
	say([]byte(`{"flow":"EOT"}`), nil)
	takeAll(t, []*native.Flow{taker}, dats)
}
