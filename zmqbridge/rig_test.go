package zmqbridge_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmqbridge"
	"github.com/zioflow/gateway/zmtp"
)

// rig is a broker and a bridge of this package's own engine. Every flow that a
// client opens is offered to the test.
type rig struct {
	t      *testing.T
	broker *broker.Broker
	bridge zmqbridge.Bridge
	offers chan routing.Offer
	policy *access.Policy // nil without CURVE
	server pair           // CURVE's keys
	client pair           // that are known

	mu    sync.Mutex
	lines []string // guarded by mu; of the log
}

// setup is what a rig may differ in.
type setup struct {
	broker.Options
	bridge zmqbridge.Options
	curve  bool
}

// Find implements routing.Factory.
func (g *rig) Find(ctx context.Context, r *routing.Request) error {
	o, err := r.Offer()
	if err != nil {
		return err
	}
	select {
	case g.offers <- o:
	case <-ctx.Done():
	}
	return nil
}

// Write implements io.Writer for the log.
func (g *rig) Write(line []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lines = append(g.lines, string(line))
	return len(line), nil
}

// logged are the lines that have all of the words.
func (g *rig) logged(words ...string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var found []string
	for _, line := range g.lines {
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
			found = append(found, line)
		}
	}
	return found
}

func newRig(t *testing.T, change func(*setup)) *rig {
	t.Helper()
	g := &rig{t: t, offers: make(chan routing.Offer)}
	s := setup{Options: broker.DefaultOptions()}
	log := slog.New(slog.NewTextHandler(g, &slog.HandlerOptions{Level: slog.LevelInfo}))
	s.bridge = zmqbridge.DefaultOptions(s.Options)
	s.bridge.Engine, s.bridge.Log, s.bridge.Heartbeat, s.bridge.Linger = "zmtp", log, 0, time.Second
	s.bridge.Servers, s.bridge.Routers = []string{"tcp://127.0.0.1:*"}, []string{"tcp://127.0.0.1:*"}
	change(&s)
	s.bridge.MaxMessage = s.MaxMessage
	if s.curve {
		g.server, g.client = newPair(t), newPair(t)
		g.policy = access.NewPolicy(rules(t, fmt.Sprintf(
			"identities: [{name: peer, roles: [client, handler], curve-keys: ['%s']}]", g.client.public)), log, nil)
		s.bridge.CurveKey, s.bridge.Access = g.server.secret, g.policy
	}
	var err error
	if g.broker, err = broker.New(s.Options); err != nil {
		t.Fatal(err)
	}
	if _, err := g.broker.AddRoute(routing.Route{Name: "test", Factory: g}); err != nil {
		t.Fatal(err)
	}
	if g.bridge, err = zmqbridge.Open(g.broker, s.bridge); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.broker.Close(flow.Draining, "the test is over")
		if err := g.bridge.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// address is where peers of that kind connect.
func (g *rig) address(kind zmtp.SocketType) string {
	if kind == zmtp.Client {
		return g.bridge.Servers()[0]
	}
	return g.bridge.Routers()[0]
}

// keys are a CURVE client's; nil where the rig has no CURVE.
func (g *rig) keys() *zmtp.CurveKeys {
	if g.policy == nil {
		return nil
	}
	return curveKeys(g.t, g.client, g.server.public)
}

func curveKeys(t *testing.T, own pair, server string) *zmtp.CurveKeys {
	t.Helper()
	key := func(text string) [32]byte {
		k, err := access.ParseCurveKey(text)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	return &zmtp.CurveKeys{Public: key(own.public), Secret: key(own.secret), Server: key(server)}
}

// try connects a raw peer.
func (g *rig) try(d dialing) (*raw, error) {
	if d.address == "" {
		d.address = g.address(d.Type)
	}
	if d.Curve == nil {
		d.Curve = g.keys()
	}
	p, err := handshakes(g.t, d)
	if err == nil {
		g.t.Cleanup(func() { _ = p.Close() })
	}
	return p, err
}

// dialWith connects a raw peer, which must be let in.
func (g *rig) dialWith(d dialing) *raw {
	g.t.Helper()
	p, err := g.try(d)
	if err != nil {
		g.t.Fatal(err)
	}
	return p
}

func (g *rig) dial(kind zmtp.SocketType) *raw {
	g.t.Helper()
	return g.dialWith(dialing{Config: zmtp.Config{Type: kind}, minor: 1})
}

// bot is a BOT's label.
func bot(direction zio.Direction, credit int64, cid uint64) string {
	label, err := zio.RewriteBot([]byte(`{"flow":"BOT"}`), direction, credit, cid)
	if err != nil {
		panic(err) // the label is this function's own
	}
	return string(label)
}

// opens opens a flow whose taker, the client, has paid all the credit.
func (g *rig) opens(taker, giver *raw, credit int64) {
	g.t.Helper()
	taker.say(bot(zio.Inject, credit, 0))
	giver.say(bot(zio.Extract, credit, g.offered().CID))
	giver.want(zio.BOT)
	taker.want(zio.BOT)
	taker.say(fmt.Sprintf(`{"flow":"PAY","credit":%d}`, credit))
	giver.want(zio.PAY)
}

func (g *rig) offered() routing.Offer {
	g.t.Helper()
	select {
	case o := <-g.offers:
		return o
	case <-time.After(patient):
		g.t.Fatal("no flow was offered")
		return routing.Offer{}
	}
}

// closes ends a flow in good order.
func (g *rig) closes(taker, giver *raw) {
	g.t.Helper()
	giver.say(`{"flow":"EOT"}`)
	taker.want(zio.EOT)
	taker.say(`{"flow":"EOT"}`)
	giver.want(zio.EOT)
}

// stats are those of the endpoint for that kind of peer.
func (g *rig) stats(kind zmtp.SocketType) zmqbridge.Stats {
	front := "zmq-router"
	if kind == zmtp.Client {
		front = "zmq-server"
	}
	for _, s := range g.bridge.Stats() {
		if s.Endpoint == front {
			return s
		}
	}
	g.t.Fatalf("there is no endpoint %s", front)
	return zmqbridge.Stats{}
}

// until waits for what no channel tells.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patient)
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

// same tells in what two messages differ; empty if in nothing.
func same(a, b *zio.Message) string {
	switch {
	case a.Level != b.Level || a.Form != b.Form:
		return "level or form"
	case !bytes.Equal(a.Label, b.Label):
		return fmt.Sprintf("labels of %d and %d bytes", len(a.Label), len(b.Label))
	case a.Coord != b.Coord:
		return fmt.Sprintf("coords %v and %v", a.Coord, b.Coord)
	case len(a.Payload) != len(b.Payload):
		return fmt.Sprintf("%d and %d parts", len(a.Payload), len(b.Payload))
	}
	for i := range a.Payload {
		if !bytes.Equal(a.Payload[i], b.Payload[i]) {
			return fmt.Sprintf("parts %d, of %d and %d bytes", i, len(a.Payload[i]), len(b.Payload[i]))
		}
	}
	return ""
}

// reset closes a connection as a killed process whose buffers hold something does.
func reset(p *raw) {
	if tcp, ok := p.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = p.Close()
}

func newRand(seed int) *rand.Rand { return rand.New(rand.NewPCG(uint64(seed), 0)) }
