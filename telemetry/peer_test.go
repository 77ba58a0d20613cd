package telemetry_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/builtin"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what has to come.
const patience = 20 * time.Second

// newBroker makes one with those observers and the built-in handlers. It is
// closed at the test's end, or earlier by the function that is answered.
func newBroker(t *testing.T, observers ...broker.Observer) (*broker.Broker, func()) {
	t.Helper()
	options := broker.DefaultOptions()
	options.Observers = observers
	b, err := broker.New(options)
	if err != nil {
		t.Fatal(err)
	}
	handlers := builtin.New(b, options.Log)
	if err := handlers.AddDefaultRoutes(); err != nil {
		t.Fatal(err)
	}
	stop := func() {
		b.Close(flow.Draining, "the test is over")
		handlers.Wait()
	}
	t.Cleanup(stop)
	return b, stop
}

// client is a peer of the tests.
type client struct {
	*broker.Peer
	t      *testing.T
	outbox *transport.Outbox
	seqno  uint64
	queue  []transport.Delivery
}

func attach(t *testing.T, b *broker.Broker) *client {
	outbox := transport.NewOutbox(1000)
	return &client{
		Peer: b.Attach(outbox, transport.PeerInfo{Transport: "grpc", Identity: "tester"}), t: t, outbox: outbox,
	}
}

func (c *client) send(label string, payload ...[]byte) {
	m := &zio.Message{Form: zio.FormFlow, Label: []byte(label), Payload: payload, Coord: zio.Coord{Seqno: c.seqno}}
	c.seqno++
	c.Receive(m)
}

// await takes messages up to the next one of that type.
func (c *client) await(want zio.Type) transport.Delivery {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		for len(c.queue) > 0 {
			d := c.queue[0]
			c.queue = c.queue[1:]
			d.Message.Release()
			if d.Type == want {
				return d
			}
		}
		batch, err := c.outbox.Take(ctx, nil)
		if err != nil {
			c.t.Fatalf("waiting for %v: %v", want, err)
		}
		c.queue = batch
	}
}

// take has generate give count messages of size bytes, and completes the flow.
func (c *client) take(attributes string) {
	c.t.Helper()
	c.send(`{"flow":"BOT","direction":"inject","credit":5` + attributes + `}`)
	c.await(zio.BOT)
	c.send(`{"flow":"PAY","credit":5}`)
	c.await(zio.EOT)
	c.send(`{"flow":"EOT"}`)
}
