//go:build cgo

package connect_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/connect"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/native"
	"github.com/zioflow/gateway/zmqbridge/reach"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// directory is a connect.Directory that the test changes.
type directory struct {
	mu      sync.Mutex
	address string
	changed chan struct{}
}

func (d *directory) Lookup(node, port string) (string, bool, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.address, node == "files" && port == "flow" && d.address != "", d.changed
}

func (d *directory) move(address string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.address = address
	close(d.changed)
	d.changed = make(chan struct{})
}

// bench is a broker with a route to one handler.
type bench struct {
	t         *testing.T
	broker    *broker.Broker
	directory *directory
	connector *connect.Connector
}

func setUp(t *testing.T, target connect.Target, change func(*broker.Options)) *bench {
	t.Helper()
	limits := broker.DefaultOptions()
	limits.PendingTimeout, limits.HandlerWait = patience, patience
	if change != nil {
		change(&limits)
	}
	b := &bench{t: t, directory: &directory{changed: make(chan struct{})}}
	var err error
	if b.broker, err = broker.New(limits); err != nil {
		t.Fatal(err)
	}
	b.connector = connect.New(connect.Options{Broker: b.broker, Dialer: &reach.Dialer{}, Directory: b.directory})
	factory, err := b.connector.Factory("far", target)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.broker.AddRoute(routing.Route{Name: "far", Factory: factory}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.broker.Close(flow.Draining, "the test is over")
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := b.connector.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return b
}

// client is a flow's client, in memory.
type client struct {
	t      *testing.T
	peer   *broker.Peer
	outbox *transport.Outbox
	seqno  uint64
	queue  []transport.Delivery
}

func (b *bench) open(label string, payload ...[]byte) *client {
	c := &client{t: b.t, outbox: transport.NewOutbox(100)}
	c.peer = b.broker.Attach(c.outbox, transport.PeerInfo{Transport: "test", Address: "here"})
	c.send(label, payload...)
	return c
}

func (c *client) send(label string, payload ...[]byte) {
	c.peer.Receive(&zio.Message{
		Form: zio.FormFlow, Label: []byte(label), Payload: payload, Coord: zio.Coord{Origin: 7, Seqno: c.seqno},
	})
	c.seqno++
}

// take waits for a message with that type, and returns it.
func (c *client) take(want zio.Type) transport.Delivery {
	c.t.Helper()
	if len(c.queue) == 0 {
		ctx, cancel := context.WithTimeout(c.t.Context(), patience)
		defer cancel()
		batch, err := c.outbox.Take(ctx, nil)
		if err != nil {
			c.t.Fatalf("%v instead of %v", err, want)
		}
		c.queue = batch
	}
	d := c.queue[0]
	c.queue = c.queue[1:]
	if d.Type != want {
		c.t.Fatalf("the client is sent %v %s, want %v", d.Type, d.Message.Label, want)
	}
	return d
}

// ends waits for the flow's end.
func (c *client) ends(reason flow.Reason, detail string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	for {
		batch, err := c.outbox.Take(ctx, nil)
		for _, d := range batch {
			d.Message.Release()
		}
		if err == nil {
			continue
		}
		end, ok := err.(*flow.Error) //nolint:errorlint // Take returns it so
		if !ok || end.Reason != reason || !strings.Contains(end.Detail, detail) {
			c.t.Fatalf("the flow ended %#v, want %v: %s", err, reason, detail)
		}
		return
	}
}

// handler is a native SERVER as a handler has it.
type handler struct {
	t      *testing.T
	server *native.Server
	from   uint32
	seqno  uint64
}

func listen(t *testing.T, address, secret string) *handler {
	t.Helper()
	server, err := native.Listen(address, secret)
	if err != nil {
		t.Fatal(err)
	}
	h := &handler{t: t, server: server}
	t.Cleanup(h.close)
	return h
}

func (h *handler) close() {
	if h.server == nil {
		return
	}
	if err := h.server.Close(0); err != nil {
		h.t.Error(err)
	}
	h.server = nil
}

func (h *handler) send(label string, payload ...[]byte) {
	h.t.Helper()
	m := &zio.Message{Form: zio.FormFlow, Label: []byte(label), Payload: payload, Coord: zio.Coord{Origin: 9, Seqno: h.seqno}}
	h.seqno++
	if err := h.server.Send(h.from, m); err != nil {
		h.t.Fatal(err)
	}
}

// take waits for a message whose label has those words.
func (h *handler) take(words string) *zio.Message {
	h.t.Helper()
	from, m, err := h.server.Receive(patience)
	if err != nil {
		h.t.Fatalf("%v instead of %s", err, words)
	}
	if !strings.Contains(string(m.Label), words) {
		h.t.Fatalf("the handler is sent %s, want %s", m.Label, words)
	}
	h.from = from
	return m
}

const (
	giver = `{"flow":"BOT","direction":"extract","credit":4,"stream":"s"}`
	taker = `{"flow":"BOT","direction":"inject","credit":4,"stream":"s"}`
	eot   = `{"flow":"EOT"}`
)

// TestGive: the handler sees what it would of a native client, and nothing of the gateway.
func TestGive(t *testing.T) {
	t.Parallel()
	h := listen(t, "tcp://127.0.0.1:*", "")
	b := setUp(t, connect.Target{Address: h.server.Address}, func(o *broker.Options) { o.MaxCredit = 3 })
	c := b.open(giver, []byte("one"), []byte("two"))
	bot := h.take(`"BOT"`)
	if got, want := string(bot.Label), `{"flow":"BOT","direction":"extract","credit":3,"stream":"s"}`; got != want {
		t.Errorf("the handler's BOT is %s, want %s", got, want)
	}
	if fmt.Sprintf("%s", bot.Payload) != "[one two]" || bot.Origin != 7 {
		t.Errorf("the handler's BOT has %s, coord %v", bot.Payload, bot.Coord)
	}
	h.send(`{"flow":"BOT","direction":"inject","credit":2,"note":"x"}`, []byte("reply"))
	reply := c.take(zio.BOT)
	if got, want := string(reply.Message.Label), `{"flow":"BOT","direction":"inject","credit":2,"note":"x"}`; got != want {
		t.Errorf("the client's BOT is %s, want %s", got, want)
	}
	if fmt.Sprintf("%s", reply.Message.Payload) != "[reply]" || reply.Message.Origin != 9 {
		t.Errorf("the client's BOT has %s, coord %v", reply.Message.Payload, reply.Message.Coord)
	}
	h.send(`{"flow":"PAY","credit":2}`)
	c.take(zio.PAY)
	c.send(`{"flow":"DAT","x":1}`, []byte("data"))
	if got := h.take(`"x":1`); string(got.Payload[0]) != "data" {
		t.Errorf("the handler takes %s", got.Payload)
	}
	c.send(eot)
	h.take(eot)
	h.send(eot)
	c.ends(flow.Completed, "")
	info := b.flow()
	if info.Handler.Transport != "zmq-client" || info.Handler.Address != h.server.Address || info.Data.Messages != 1 || info.Route != "far" {
		t.Errorf("operators see %+v", info)
	}
}

// flow is the latest one.
func (b *bench) flow() relay.Info {
	for f := range b.broker.FlowsBefore(broker.Latest) {
		return f.Info()
	}
	b.t.Fatal("there is no flow")
	return relay.Info{}
}

// TestTake: the other direction; large messages cross as they are.
func TestTake(t *testing.T) {
	t.Parallel()
	h := listen(t, "ipc://"+t.TempDir()+"/handler", "")
	b := setUp(t, connect.Target{Address: h.server.Address}, nil)
	c := b.open(taker)
	h.take(`"inject"`)
	h.send(`{"flow":"BOT","direction":"extract","credit":4}`)
	c.take(zio.BOT)
	c.send(`{"flow":"PAY","credit":4}`)
	h.take(`"PAY"`)
	large := make([]byte, 5<<20)
	large[len(large)-1] = 1
	h.send(`{"flow":"DAT"}`, large)
	if got := c.take(zio.DAT); string(zio.Part(got.Message.Payload).AppendTo(nil)) != string(large) {
		t.Error("a large message is another one")
	}
	h.send(eot)
	c.take(zio.EOT)
	c.send(eot)
	h.take(eot)
	c.ends(flow.Completed, "")
}

// TestRefused: a handler's own words reach the client.
func TestRefused(t *testing.T) {
	t.Parallel()
	h := listen(t, "tcp://127.0.0.1:*", "")
	b := setUp(t, connect.Target{Address: h.server.Address}, nil)
	for _, row := range []struct {
		answer string
		reason flow.Reason
		detail string
	}{
		{`{"flow":"EOT","error":"busy","detail":"come again"}`, flow.Rejected, "busy: come again"},
		{eot, flow.Rejected, "the handler has refused it"},
		{`{"flow":"DAT"}`, flow.ProtocolError, "answers a BOT with a DAT"},
		{`{"flow":"BOT","direction":"extract","credit":4}`, flow.ProtocolError, "direction is extract like the client's"},
		{`{"flow":"BOT","credit":4}`, flow.ProtocolError, "direction"},
		{`no label`, flow.ProtocolError, ""},
	} {
		c := b.open(giver)
		h.take(`"BOT"`)
		h.send(row.answer)
		c.ends(row.reason, row.detail)
		if row.answer != eot && row.reason != flow.Rejected {
			h.take(`"EOT"`)
		}
	}
}

// TestAbsent: a flow waits for its handler, and ends when that has not come.
func TestAbsent(t *testing.T) {
	t.Parallel()
	address := "ipc://" + t.TempDir() + "/handler"
	for _, wait := range []time.Duration{0, 200 * time.Millisecond} {
		b := setUp(t, connect.Target{Address: address}, func(o *broker.Options) { o.HandlerWait = wait })
		b.open(giver).ends(flow.NoHandler, "no such file")
		b = setUp(t, connect.Target{Node: "files", Port: "flow"}, func(o *broker.Options) { o.HandlerWait = wait })
		b.open(giver).ends(flow.NoHandler, "port flow of node files is not to be seen")
	}
	b := setUp(t, connect.Target{Address: address}, nil)
	c := b.open(giver)
	h := listen(t, address, "")
	h.take(`"BOT"`)
	h.send(`{"flow":"BOT","direction":"inject","credit":2}`)
	c.take(zio.BOT)
}

// TestNode: flows follow a node that comes, and one that moves.
func TestNode(t *testing.T) {
	t.Parallel()
	b := setUp(t, connect.Target{Node: "files", Port: "flow"}, nil)
	address := "ipc://" + t.TempDir() + "/gone"
	c := b.open(giver)
	b.directory.move(address) // nobody is there
	b.directory.move(address) // a change of another node
	h := listen(t, "tcp://127.0.0.1:*", "")
	b.directory.move(h.server.Address)
	h.take(`"BOT"`)
	h.send(`{"flow":"BOT","direction":"inject","credit":2}`)
	c.take(zio.BOT)
	if got := b.flow().Handler.Identity; got != "files" {
		t.Errorf("the handler's name is %q", got)
	}
}

// TestKilled: a handler that dies ends its flow; the one that is there after it has the next.
func TestKilled(t *testing.T) {
	t.Parallel()
	address := "ipc://" + t.TempDir() + "/handler" // nobody else takes it meanwhile
	h := listen(t, address, "")
	b := setUp(t, connect.Target{Address: address}, nil)
	for range 3 {
		c := b.open(giver)
		h.take(`"BOT"`)
		h.send(`{"flow":"BOT","direction":"inject","credit":2}`)
		c.take(zio.BOT)
		h.close()
		c.ends(flow.PeerGone, "the handler: ")
		h = listen(t, address, "")
	}
}

// TestClientGone: a handler that was asked in vain, or serves, is told.
func TestClientGone(t *testing.T) {
	t.Parallel()
	h := listen(t, "tcp://127.0.0.1:*", "")
	b := setUp(t, connect.Target{Address: h.server.Address}, nil)
	c := b.open(giver)
	h.take(`"BOT"`)
	c.peer.Leave("killed")
	h.take(`"EOT"`)
	c = b.open(giver)
	h.take(`"BOT"`)
	h.send(`{"flow":"BOT","direction":"inject","credit":2}`)
	c.take(zio.BOT)
	c.peer.Leave("killed")
	h.take(`"peer_gone"`)
	h.send(eot)
}

// TestReminded: a giver that goes on after an EOT is told once more (BRK-17).
func TestReminded(t *testing.T) {
	t.Parallel()
	h := listen(t, "tcp://127.0.0.1:*", "")
	b := setUp(t, connect.Target{Address: h.server.Address}, nil)
	c := b.open(taker)
	h.take(`"BOT"`)
	h.send(`{"flow":"BOT","direction":"extract","credit":4}`)
	c.take(zio.BOT)
	c.peer.Leave("killed")
	h.take(`"EOT"`)
	h.send(`{"flow":"DAT"}`)
	h.take(`"EOT"`)
	h.send(eot)
}

// TestNoClient: a handler that was connected to opens no flow and accepts no other one,
// neither while it has its own nor after it. Nobody has asked who it is.
func TestNoClient(t *testing.T) {
	t.Parallel()
	h := listen(t, "tcp://127.0.0.1:*", "")
	b := setUp(t, connect.Target{Address: h.server.Address}, nil)
	offers := make(offerSink, 1)
	if _, err := b.broker.Listen(listeners.Spec{Name: "other", Sink: offers}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.broker.AddRoute(routing.Route{
		Name: "others", Priority: 1, Match: isDirection(zio.Extract), Factory: listeners.ToListeners{Name: "other"},
	}); err != nil {
		t.Fatal(err)
	}
	other := b.open(taker)
	offer := <-offers
	accepting := fmt.Sprintf(`{"flow":"BOT","direction":"extract","credit":4,"cid":%d}`, offer.CID)
	for _, label := range []string{giver, taker, accepting, `{"flow":"BOT"}`, `{"flow":"BOT","credit":1,"credit":1}`} {
		c := b.open(giver)
		h.take(`"BOT"`)
		h.send(`{"flow":"BOT","direction":"inject","credit":4}`)
		c.take(zio.BOT)
		h.send(label)
		c.ends(flow.ProtocolError, "the handler: ")
		h.take(`"protocol_error"`)
		h.send(label)
		h.send(eot)
	}
	accepter := b.open(accepting) // the offer stands, and is the latest flow but those five
	accepter.take(zio.BOT)
	other.take(zio.BOT)
	if flows := b.flow().ID; flows != 6 {
		t.Errorf("there were %d flows, want 6", flows)
	}
}

// offerSink is a listener's.
type offerSink chan routing.Offer

func (k offerSink) Offer(o routing.Offer) error { k <- o; return nil }
func (offerSink) Withdraw(uint64, flow.Reason)  {}

// isDirection matches the flows of which the handler has that direction.
type isDirection zio.Direction

func (d isDirection) Match(v *matching.View) bool { return v.Direction == zio.Direction(d) }

// TestMaxFlows: a handler that serves one at a time is asked for one at a time.
func TestMaxFlows(t *testing.T) {
	t.Parallel()
	h := listen(t, "tcp://127.0.0.1:*", "")
	b := setUp(t, connect.Target{Address: h.server.Address, MaxFlows: 1}, nil)
	clients := map[string]*client{}
	for _, name := range []string{"a", "b"} {
		clients[name] = b.open(fmt.Sprintf(`{"flow":"BOT","direction":"extract","credit":4,"name":"%s"}`, name))
	}
	for range 2 {
		bot := h.take(`"BOT"`) // of the other only when the first has ended
		name := string(bot.Label[len(bot.Label)-3])
		c := clients[name]
		h.send(`{"flow":"BOT","direction":"inject","credit":2}`)
		c.take(zio.BOT)
		c.send(eot)
		h.take(eot)
		h.send(eot)
		c.ends(flow.Completed, "")
	}
}

// TestDisconnect: an operator's reason reaches the client.
func TestDisconnect(t *testing.T) {
	t.Parallel()
	h := listen(t, "tcp://127.0.0.1:*", "")
	b := setUp(t, connect.Target{Address: h.server.Address}, nil)
	c := b.open(giver)
	h.take(`"BOT"`)
	h.send(`{"flow":"BOT","direction":"inject","credit":2}`)
	c.take(zio.BOT)
	for p := range b.broker.PeersBefore(broker.Latest, "zmq-client") {
		if p.Link.Protocol != "ZMTP 3.1" || p.Link.Mechanism != "NULL" || p.Link.BytesOut == 0 {
			t.Errorf("operators see %+v", p.Link)
		}
		if _, err := b.broker.Disconnect(p.ID, "by an operator"); err != nil {
			t.Fatal(err)
		}
	}
	c.ends(flow.EndedByAdmin, "by an operator")
}

// TestCurve: a handler with CURVE, and one with another key.
func TestCurve(t *testing.T) {
	t.Parallel()
	public, secret, err := native.NewCurvePair()
	if err != nil {
		t.Fatal(err)
	}
	h := listen(t, "tcp://127.0.0.1:*", secret)
	b := setUp(t, connect.Target{Address: h.server.Address, ServerKey: public}, nil)
	c := b.open(giver)
	h.take(`"BOT"`)
	h.send(`{"flow":"BOT","direction":"inject","credit":2}`)
	c.take(zio.BOT)
	other, _, err := native.NewCurvePair()
	if err != nil {
		t.Fatal(err)
	}
	b = setUp(t, connect.Target{Address: h.server.Address, ServerKey: other}, func(o *broker.Options) { o.HandlerWait = 100 * time.Millisecond })
	b.open(giver).ends(flow.NoHandler, "")
}

// TestTarget: what makes no sense is told by its field.
func TestTarget(t *testing.T) {
	t.Parallel()
	c := connect.New(connect.Options{Dialer: &reach.Dialer{}})
	for _, row := range []struct {
		target connect.Target
		want   string
	}{
		{connect.Target{}, "address: is missing: it, or node and port"},
		{connect.Target{Address: "tcp://h:1", Node: "n", Port: "p"}, "node: and address can't both be set"},
		{connect.Target{Node: "n"}, "port: is missing: the name of the node's port, such as flow"},
		{connect.Target{Address: "tcp://h:1", Port: "p"}, "node: is missing: whose port it is"},
		{connect.Target{Address: "h:1"}, "address: h:1: an address begins with tcp:// or ipc://"},
		{connect.Target{Address: "tcp://h:1", MaxFlows: -1}, "max_flows: is -1, want 0 or more"},
		{connect.Target{Address: "tcp://h:1", ServerKey: "x"}, "server_key: "},
		{connect.Target{Node: strings.Repeat("n", 256), Port: "p"}, "node: has 256 bytes, 255 are allowed"},
		{connect.Target{Node: "n", Port: "p"}, "node: can't be found: this gateway is no node itself (--node)"},
	} {
		_, err := c.Factory("r", row.target)
		if err == nil || !strings.HasPrefix(err.Error(), row.want) {
			t.Errorf("%+v: %v, want %s", row.target, err, row.want)
		}
	}
}
