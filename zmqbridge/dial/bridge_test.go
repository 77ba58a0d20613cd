package dial_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/builtin"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/internal/flowclient"
	"github.com/zioflow/gateway/zmqbridge"
	"github.com/zioflow/gateway/zmqbridge/dial"
	"github.com/zioflow/gateway/zmtp"
)

// patience is how long a test waits for what has to come.
const patience = 20 * time.Second

// gateway is a bridge with the built-in handlers behind it.
type gateway struct {
	zmqbridge.Bridge
	stop func()
}

// startGateway runs until the test's end, or until stop.
func startGateway(t *testing.T, change func(*zmqbridge.Options)) *gateway {
	t.Helper()
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	handlers := builtin.New(b, slog.New(slog.DiscardHandler))
	if err := handlers.AddDefaultRoutes(); err != nil {
		t.Fatal(err)
	}
	o := zmqbridge.DefaultOptions(b.Options())
	o.Servers, o.Routers = []string{"tcp://127.0.0.1:*"}, []string{"tcp://127.0.0.1:*"}
	if change != nil {
		change(&o)
	}
	g := &gateway{}
	if g.Bridge, err = zmqbridge.Open(b, o); err != nil {
		t.Fatal(err)
	}
	g.stop = func() {
		if g.Bridge == nil {
			return
		}
		b.Close(flow.Draining, "the test is over")
		handlers.Wait()
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		g.Bridge = nil
	}
	t.Cleanup(func() { g.stop() })
	return g
}

// keys are those of a gateway and of one client that it knows.
type keys struct {
	server, client, other zmtp.CurveKeys // other is unknown to the gateway
}

func newKeys() (k keys) {
	for _, pair := range []*zmtp.CurveKeys{&k.server, &k.client, &k.other} {
		public, secret := access.NewCurveKeys()
		pair.Public, pair.Secret = public, secret
	}
	k.client.Server, k.other.Server = k.server.Public, k.server.Public
	return k
}

// guard has a gateway ask for CURVE.
func (k *keys) guard(t *testing.T) func(*zmqbridge.Options) {
	t.Helper()
	rules, err := access.Parse(fmt.Appendf(nil, "identities:\n- name: one\n  roles: [client]\n  curve-keys: ['%s']\n",
		access.CurveKey(k.client.Public)))
	if err != nil {
		t.Fatal(err)
	}
	policy := access.NewPolicy(rules, slog.New(slog.DiscardHandler), func(string, string, string) {})
	t.Cleanup(policy.Close)
	return func(o *zmqbridge.Options) {
		o.CurveKey, o.Access = access.CurveKey(k.server.Secret).String(), policy
	}
}

// open begins to connect; the test's end closes.
func open(t *testing.T, o dial.Options) *dial.Conn {
	t.Helper()
	c, err := dial.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(0) })
	return c
}

// cross gives and takes whole flows on a connection, and checks what comes.
func cross(c *dial.Conn, count, size int) error {
	f, err := flowclient.Open(c, 0, fmt.Appendf(nil, `{"flow":"BOT","direction":"inject","credit":3,"count":%d,"size":%d}`, count, size), nil, patience)
	if err != nil {
		return err
	}
	taken := 0
	for {
		m, err := f.Get()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if taken++; m.Size() != size || m.Seqno != uint64(taken) {
			return fmt.Errorf("message %d has number %d and %d bytes, want %d", taken, m.Seqno, m.Size(), size)
		}
	}
	if err := f.Close(); err != nil || taken != count {
		return fmt.Errorf("took %d messages, want %d: %w", taken, count, err)
	}
	f, err = flowclient.Open(c, 0, []byte(`{"flow":"BOT","direction":"extract","credit":3}`), nil, patience)
	if err != nil {
		return err
	}
	payload := make([]byte, size)
	for range count {
		if err := f.Put([]byte(`{"flow":"DAT"}`), [][]byte{payload[:size/2], payload[size/2:]}); err != nil {
			return err
		}
	}
	return f.Close()
}

// TestFlows cross over every kind of address, with both socket types and mechanisms.
func TestFlows(t *testing.T) {
	t.Parallel()
	k := newKeys()
	for name, mechanism := range map[string]*keys{"NULL": nil, "CURVE": &k} {
		dir := t.TempDir()
		g := startGateway(t, func(o *zmqbridge.Options) {
			o.Servers = []string{"tcp://127.0.0.1:*", "tcp://[::1]:*", "ipc://" + filepath.Join(dir, "server")}
			o.Routers = []string{"tcp://127.0.0.1:*", "tcp://[::1]:*", "ipc://" + filepath.Join(dir, "router")}
			if mechanism != nil {
				mechanism.guard(t)(o)
			}
		})
		for kind, addresses := range map[zmtp.SocketType][]string{zmtp.Client: g.Servers(), zmtp.Dealer: g.Routers()} {
			for _, address := range append(addresses, strings.Replace(addresses[0], "127.0.0.1", "localhost", 1)) {
				t.Run(fmt.Sprintf("%s %s %s", kind, name, strings.ReplaceAll(address, dir, "")), func(t *testing.T) {
					o := dial.DefaultOptions(address, kind)
					if mechanism != nil {
						o.Curve = &mechanism.client
					}
					c := open(t, o)
					for _, size := range []int{0, 100, 5000, 300_000} {
						if err := cross(c, 20, size); err != nil {
							t.Errorf("messages of %d bytes: %v", size, err)
						}
					}
					if peer, ok := c.Peer(); !ok || !kind.Accepts(peer.Type) {
						t.Errorf("the peer is %v, %t", peer, ok)
					}
				})
			}
		}
	}
}

// TestLargeMessages: 60 MB both ways.
func TestLargeMessages(t *testing.T) {
	t.Parallel()
	k := newKeys()
	for name, secure := range map[string]bool{"NULL": false, "CURVE": true} {
		for _, kind := range []zmtp.SocketType{zmtp.Client, zmtp.Dealer} {
			t.Run(fmt.Sprint(kind, " ", name), func(t *testing.T) {
				change := func(*zmqbridge.Options) {}
				if secure {
					change = k.guard(t)
				}
				g := startGateway(t, change)
				o := dial.DefaultOptions(addressOf(g, kind), kind)
				if secure {
					o.Curve = &k.client
				}
				if err := cross(open(t, o), 1, 60_000_000); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func addressOf(g *gateway, kind zmtp.SocketType) string {
	if kind == zmtp.Dealer {
		return g.Routers()[0]
	}
	return g.Servers()[0]
}

// TestRestart: when the gateway has gone, that is told, and when another one serves
// the address, the next connection is to that.
func TestRestart(t *testing.T) {
	t.Parallel()
	for _, kind := range []zmtp.SocketType{zmtp.Client, zmtp.Dealer} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			path := "ipc://" + filepath.Join(t.TempDir(), "flow") // nobody else takes it meanwhile
			at := func(o *zmqbridge.Options) {
				if o.Servers, o.Routers = []string{path}, nil; kind == zmtp.Dealer {
					o.Servers, o.Routers = nil, []string{path}
				}
			}
			events := make(chan dial.Event, 1000)
			o := dial.DefaultOptions(path, kind)
			o.Identity = map[zmtp.SocketType]string{zmtp.Dealer: "the same"}[kind]
			o.LastRetry = 100 * time.Millisecond
			o.Notify = func(e dial.Event) { events <- e }
			first := startGateway(t, at)
			c := open(t, o)
			for range 3 {
				if err := cross(c, 5, 1000); err != nil {
					t.Fatal(err)
				}
				f, err := flowclient.Open(c, 0, []byte(`{"flow":"BOT","direction":"extract","credit":3}`), nil, patience)
				if err != nil {
					t.Fatal(err)
				}
				first.stop()
				for err == nil {
					err = f.Put([]byte(`{"flow":"DAT"}`), [][]byte{make([]byte, 1000)})
				}
				if !endedBy(err) {
					t.Errorf("the flow ended with %v", err)
				}
				waitFor(t, events, dial.Broken)
				waitFor(t, events, dial.Failed)
				first = startGateway(t, at)
				waitFor(t, events, dial.Connected)
				if err := c.Next(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// endedBy tells whether an error is how a flow ends when its gateway stops.
func endedBy(err error) bool {
	end, told := errors.AsType[*flowclient.EndError](err)
	fault, lost := errors.AsType[*dial.Error](err)
	return told && end.Reason == flow.Draining.String() || lost && fault.Cause == dial.Lost
}

func waitFor(t *testing.T, events <-chan dial.Event, want dial.State) dial.Event {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case e := <-events:
			if e.State == want {
				return e
			}
		case <-deadline:
			t.Fatalf("no event is %s", want)
		}
	}
}

// TestNameInUse: a DEALER whose name another one has, at another address, is told.
func TestNameInUse(t *testing.T) {
	t.Parallel()
	g := startGateway(t, nil)
	o := dial.DefaultOptions(g.Routers()[0], zmtp.Dealer)
	o.Identity = "taken"
	if err := open(t, o).Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	failed := make(chan dial.Event, 1000)
	o.Notify = func(e dial.Event) { failed <- e }
	elsewhere := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	c, err := dial.NewBy(o, elsewhere.DialContext)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(0) }()
	if e := waitFor(t, failed, dial.Failed); e.Err.Cause != dial.Refused || !strings.Contains(e.Err.Error(), "in use") {
		t.Errorf("told %v", e.Err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.Next(ctx); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("Next says %v, want why there is no connection", err)
	}
}
