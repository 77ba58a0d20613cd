package builtin_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/builtin"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client is a client of the built-in handlers, in memory.
type client struct {
	t      *testing.T
	outbox *transport.Outbox
	peer   *broker.Peer
	seqno  uint64
	queue  []transport.Delivery
}

// start makes a broker with nothing but the built-in handlers, whose log goes to
// the buffer. The buffer may be read after stop.
func start(t *testing.T, log *bytes.Buffer) (c *client, stop func()) {
	t.Helper()
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	handlers := builtin.New(b, slog.New(slog.NewTextHandler(log, nil)))
	if err := handlers.AddDefaultRoutes(); err != nil {
		t.Fatal(err)
	}
	c = &client{t: t, outbox: transport.NewOutbox(100)}
	c.peer = b.Attach(c.outbox, transport.PeerInfo{Transport: "fake"})
	return c, func() {
		b.Close(flow.Draining, "")
		handlers.Wait()
	}
}

func (c *client) send(label string, parts ...[]byte) {
	c.peer.Receive(&zio.Message{Label: []byte(label), Payload: parts, Coord: zio.Coord{Seqno: c.seqno}})
	c.seqno++
}

func (c *client) next() transport.Delivery {
	c.t.Helper()
	if len(c.queue) == 0 {
		batch, err := c.outbox.Take(context.Background(), nil)
		if err != nil {
			c.t.Fatal(err)
		}
		c.queue = batch
	}
	d := c.queue[0]
	c.queue = c.queue[1:]
	return d
}

func (c *client) want(t zio.Type) transport.Delivery {
	c.t.Helper()
	d := c.next()
	if d.Type != t {
		c.t.Fatalf("got %s, want %v", d.Message.Label, t)
	}
	return d
}

func TestGenerate(t *testing.T) {
	c, stop := start(t, new(bytes.Buffer))
	defer stop()
	c.send(`{"flow":"BOT","direction":"inject","credit":2,"count":300,"size":5.0}`)
	if bot := c.want(zio.BOT); bot.Credit != 2 {
		t.Errorf("credit %d, want 2", bot.Credit)
	}
	c.send(`{"flow":"PAY","credit":2}`)
	for n := range 300 {
		d := c.want(zio.DAT)
		for i, got := range d.Message.Payload[0] {
			if want := byte((n + i) % 251); got != want {
				t.Fatalf("byte %d of DAT %d is %d, want %d", i, n, got, want)
			}
		}
		if d.Message.Seqno != uint64(n+1) || d.Message.Size() != 5 {
			t.Fatalf("DAT %d has seqno %d and %d bytes", n, d.Message.Seqno, d.Message.Size())
		}
		c.send(`{"flow":"PAY","credit":1}`)
	}
	c.want(zio.EOT)
	c.send(`{"flow":"EOT"}`)
	if _, err := c.outbox.Take(context.Background(), nil); err == nil || err.Error() != "completed" {
		t.Errorf("ended with %v", err)
	}
}

func TestGenerateRefusesWhatMakesNoSense(t *testing.T) {
	for attribute, want := range map[string]string{
		`"count":-1`:         "attribute count is -1",
		`"count":"7"`:        "attribute count is 7",
		`"size":1.5`:         "attribute size is 1.5",
		`"size":1,"size":2`:  "attribute size stands there twice, want an integer",
		`"size":99999999999`: "attribute size is 99999999999, want an integer from 0 to 67108864",
	} {
		c, stop := start(t, new(bytes.Buffer))
		c.send(fmt.Sprintf(`{"flow":"BOT","direction":"inject","credit":2,%s}`, attribute))
		if eot := c.want(zio.EOT); eot.Reason != flow.Rejected || !strings.Contains(eot.Detail, want) {
			t.Errorf("%s: %v, %s", attribute, eot.Reason, eot.Detail)
		}
		stop()
	}
}

// TestByName: a BOT that asks for a handler by name gets it, or is told why not; no
// other does.
func TestByName(t *testing.T) {
	options := broker.DefaultOptions()
	options.HandlerWait = 0
	b, err := broker.New(options)
	if err != nil {
		t.Fatal(err)
	}
	handlers := builtin.New(b, slog.New(slog.DiscardHandler))
	if err := handlers.AddRoutes(); err != nil {
		t.Fatal(err)
	}
	defer handlers.Wait()
	defer b.Close(flow.Draining, "")
	for label, want := range map[string]struct {
		kind   zio.Type
		reason flow.Reason
		route  string
	}{
		`{"flow":"BOT","direction":"extract","credit":2,"builtin":"dump"}`:               {zio.BOT, flow.NotEnded, "dump"},
		`{"flow":"BOT","direction":"inject","credit":2,"builtin":"generate"}`:            {zio.BOT, flow.NotEnded, "generate"},
		`{"flow":"BOT","direction":"inject","credit":2,"builtin":"dump"}`:                {zio.EOT, flow.Rejected, "dump"},
		`{"flow":"BOT","direction":"extract","credit":2}`:                                {zio.EOT, flow.NoHandler, ""},
		`{"flow":"BOT","direction":"extract","credit":2,"builtin":"Dump"}`:               {zio.EOT, flow.NoHandler, ""},
		`{"flow":"BOT","direction":"extract","credit":2,"builtin":["dump"]}`:             {zio.EOT, flow.NoHandler, ""},
		`{"flow":"BOT","direction":"extract","credit":2,"builtin":"dump","builtin":"x"}`: {zio.EOT, flow.NoHandler, ""},
	} {
		c := &client{t: t, outbox: transport.NewOutbox(100)}
		c.peer = b.Attach(c.outbox, transport.PeerInfo{Transport: "fake"})
		c.send(label)
		answer := c.next()
		if route, _ := c.peer.Flow().TakenBy(); answer.Type != want.kind || answer.Reason != want.reason || route != want.route {
			t.Errorf("%s: answered %s, taken by route %q", label, answer.Message.Label, route)
		}
		c.peer.Leave("has had enough")
	}
}

func TestDumpCountsAndSeesGaps(t *testing.T) {
	log := new(bytes.Buffer)
	c, stop := start(t, log)
	c.send(`{"flow":"BOT","direction":"extract","credit":3}`)
	c.want(zio.BOT)
	for n := range 6 {
		if n%3 == 0 {
			for paid := int64(0); paid < 3; {
				paid += c.want(zio.PAY).Credit
			}
		}
		if n == 4 {
			c.seqno += 7
		}
		c.send(`{"flow":"DAT"}`, make([]byte, 10), make([]byte, n))
	}
	c.send(`{"flow":"EOT"}`)
	for d := c.next(); d.Type != zio.EOT; d = c.next() {
		d.Message.Release()
	}
	stop()
	if want := `flow=1 client=fake handler="builtin dump" reason=completed messages=6 bytes=75 gaps=1`; !strings.Contains(log.String(), want) {
		t.Errorf("the log has no %q:\n%s", want, log)
	}
}
