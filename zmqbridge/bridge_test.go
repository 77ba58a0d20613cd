package zmqbridge_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/builtin"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/native"
	"github.com/zioflow/gateway/zmqbridge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const timeout = 10 * time.Second

// defaults are the options for the engine that is tested: scripts/test.sh runs these
// tests with both.
func defaults(limits broker.Options) zmqbridge.Options {
	o := zmqbridge.DefaultOptions(limits)
	o.Engine = os.Getenv("TEST_ZMQ_ENGINE")
	return o
}

// open starts a broker with the built-in handlers and a bridge, and stops both
// when the test ends.
func open(t *testing.T, change func(*zmqbridge.Options)) (*broker.Broker, zmqbridge.Bridge) {
	t.Helper()
	return openWith(t, func(*broker.Options) {}, change)
}

func openWith(t *testing.T, limit func(*broker.Options), change func(*zmqbridge.Options)) (*broker.Broker, zmqbridge.Bridge) {
	t.Helper()
	limits := broker.DefaultOptions()
	limit(&limits)
	b, err := broker.New(limits)
	if err != nil {
		t.Fatal(err)
	}
	handlers := builtin.New(b, b.Options().Log)
	if err := handlers.AddDefaultRoutes(); err != nil {
		t.Fatal(err)
	}
	o := defaults(b.Options())
	change(&o)
	bridge, err := zmqbridge.Open(b, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Close(flow.Draining, "the test is over")
		handlers.Wait()
		if err := bridge.Close(); err != nil {
			t.Error(err)
		}
	})
	return b, bridge
}

func dial(t *testing.T, kind native.Kind, address string) *native.Peer {
	t.Helper()
	peer, err := native.Dial(kind, address, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := peer.Close(0); err != nil {
			t.Error(err)
		}
	})
	return peer
}

func take(t *testing.T, peer *native.Peer, label string, want int) {
	t.Helper()
	f, err := native.Open(peer, 0, []byte(label), nil, timeout)
	if err != nil {
		t.Fatal(err)
	}
	for range want {
		if _, err := f.Get(); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAddresses(t *testing.T) {
	dir := t.TempDir()
	_, bridge := open(t, func(o *zmqbridge.Options) {
		o.Servers = []string{"tcp://127.0.0.1:*", "tcp://[::1]:*", "ipc://" + filepath.Join(dir, "server")}
		o.Routers = []string{"tcp://127.0.0.1:0", "ipc://" + filepath.Join(dir, "router")}
	})
	for kind, addresses := range map[native.Kind][]string{native.Client: bridge.Servers(), native.Dealer: bridge.Routers()} {
		for _, address := range addresses {
			t.Run(kind.String()+" "+strings.ReplaceAll(address, dir, ""), func(t *testing.T) {
				if strings.HasSuffix(address, ":0") || strings.HasSuffix(address, "*") {
					t.Errorf("%s is not a real address", address)
				}
				take(t, dial(t, kind, address), `{"flow":"BOT","direction":"inject","credit":2,"count":3}`, 3)
			})
		}
	}
}

func TestIPCPathIsKept(t *testing.T) {
	path := "ipc://" + filepath.Join(t.TempDir(), "server")
	b, _ := open(t, func(o *zmqbridge.Options) { o.Servers = []string{path} })
	o := defaults(b.Options())
	o.Servers = []string{path}
	if _, err := zmqbridge.Open(b, o); err == nil || !strings.Contains(err.Error(), "another process serves this path") {
		t.Errorf("a second bind of the same path: %v", err)
	}
}

func TestBindErrorNamesTheAddress(t *testing.T) {
	b, bridge := open(t, func(o *zmqbridge.Options) { o.Servers = []string{"tcp://127.0.0.1:*"} })
	for _, address := range []string{bridge.Servers()[0], "nonsense", "tcp://127.0.0.1:http-alt-x"} {
		o := defaults(b.Options())
		o.Routers = []string{address}
		if _, err := zmqbridge.Open(b, o); err == nil || !strings.Contains(err.Error(), "bind "+address) {
			t.Errorf("bind of %s: %v", address, err)
		}
	}
}

// A peer that does not read costs its own flow, after as long as it may stall;
// whoever shares the socket does not notice (BRK-15, BRK-16).
func TestOverrun_BRK_15_BRK_16(t *testing.T) {
	for _, kind := range []native.Kind{native.Client, native.Dealer} {
		t.Run(kind.String(), func(t *testing.T) {
			b, bridge := open(t, func(o *zmqbridge.Options) {
				o.Servers, o.Routers = []string{"tcp://127.0.0.1:*"}, []string{"tcp://127.0.0.1:*"}
				o.HighWater = 4
				o.Stall = 300 * time.Millisecond
			})
			address := bridge.Servers()[0]
			if kind == native.Dealer {
				address = bridge.Routers()[0]
			}
			w := b.Watch(10)
			defer w.Close()
			taker, err := native.DialLimited(kind, address, 1)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = taker.Close(0) }()
			f, err := native.Open(taker, 0, []byte(`{"flow":"BOT","direction":"inject","credit":100,"count":100,"size":4000000}`), nil, timeout)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Pay(100); err != nil {
				t.Fatal(err)
			}
			ended := waitForEnd(t, w)
			if ended.Reason != flow.Overrun {
				t.Errorf("the flow ended with %v (%s), want overrun", ended.Reason, ended.Detail)
			}
			take(t, dial(t, kind, address), `{"flow":"BOT","direction":"inject","credit":2,"count":3}`, 3)

			// When it reads again, it finds a part of the data and why that is all, or
			// that its connection was cut, and can begin anew.
			for err == nil {
				_, err = f.Get()
			}
			var end *native.EndError
			if !errors.As(err, &end) || end.Reason != "overrun" && end.Reason != "unknown flow" {
				t.Errorf("the taker was told %v, want overrun or unknown flow", err)
			}
			take(t, taker, `{"flow":"BOT","direction":"inject","credit":2,"count":3}`, 3)
		})
	}
}

// waitForEnd waits for a flow to end.
func waitForEnd(t *testing.T, w *broker.Watcher) relay.Info {
	t.Helper()
	deadline := time.After(timeout)
	for {
		select {
		case e := <-w.Events():
			if e.Flow.Phase == flow.Ended {
				return *e.Flow
			}
		case <-deadline:
			t.Fatal("no flow has ended")
		}
	}
}

// What a peer sends cannot pass for the mark by which libzmq tells that a peer
// has gone, and what is no message disturbs nobody (MSG-10, BRK-19).
func TestGarbage_MSG_9_MSG_10_BRK_19(t *testing.T) {
	_, bridge := open(t, func(o *zmqbridge.Options) {
		o.Servers, o.Routers = []string{"tcp://127.0.0.1:*"}, []string{"tcp://127.0.0.1:*"}
	})
	valid := (&zio.Message{Form: zio.FormFlow, Label: []byte(`{"flow":"DAT"}`)}).AppendEncoded(nil)
	client := dial(t, native.Client, bridge.Servers()[0])
	for _, garbage := range [][]byte{{0}, {0xff}, []byte("gone:"), valid[:len(valid)-1], []byte("\xff\xff\xff\xff\xff"), valid} {
		if err := client.SendRaw(garbage); err != nil {
			t.Fatal(err)
		}
	}
	requireEOT(t, client)
	take(t, client, `{"flow":"BOT","direction":"inject","credit":2,"count":3}`, 3)

	dealer := dial(t, native.Dealer, bridge.Routers()[0])
	for _, garbage := range [][][]byte{
		{nil}, {[]byte("gone:")}, {nil, nil}, {nil, []byte("ZIO0FLOW{}")},
		{[]byte("no delimiter"), []byte(`ZIO0FLOW{"flow":"DAT"}`), make([]byte, 24)},
	} {
		if err := dealer.SendRaw(garbage...); err != nil {
			t.Fatal(err)
		}
	}
	requireEOT(t, dealer)
	take(t, dealer, `{"flow":"BOT","direction":"inject","credit":2,"count":3}`, 3)
}

// requireEOT takes the one EOT that a peer is sent for all its garbage.
func requireEOT(t *testing.T, peer *native.Peer) {
	t.Helper()
	m, err := peer.Receive(timeout)
	if err != nil || !strings.Contains(string(m.Label), `"error":"protocol_error"`) {
		t.Fatalf("garbage was answered by %+v, %v", m, err)
	}
}

// A peer's death reaches its partner at once (BRK-17).
func TestPeerGone_BRK_17(t *testing.T) {
	for _, kind := range []native.Kind{native.Client, native.Dealer} {
		t.Run(kind.String(), func(t *testing.T) {
			b, bridge := open(t, func(o *zmqbridge.Options) {
				o.Servers, o.Routers = []string{"tcp://127.0.0.1:*"}, []string{"tcp://127.0.0.1:*"}
			})
			address := bridge.Servers()[0]
			if kind == native.Dealer {
				address = bridge.Routers()[0]
			}
			w := b.Watch(10)
			defer w.Close()
			peer, err := native.Dial(kind, address, "")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := native.Open(peer, 0, []byte(`{"flow":"BOT","direction":"extract","credit":2}`), nil, timeout); err != nil {
				t.Fatal(err)
			}
			if err := peer.Close(0); err != nil {
				t.Fatal(err)
			}
			if ended := waitForEnd(t, w); ended.Reason != flow.PeerGone {
				t.Errorf("the flow ended with %v, want peer_gone", ended.Reason)
			}
		})
	}
}
