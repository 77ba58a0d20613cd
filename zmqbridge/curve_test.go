package zmqbridge_test

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/builtin"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/internal/native"
	"github.com/zioflow/gateway/zmqbridge"
)

// pair is a pair of CURVE keys.
type pair struct{ public, secret string }

func newPair(t *testing.T) pair {
	t.Helper()
	public, secret, err := native.NewCurvePair()
	if err != nil {
		t.Fatal(err)
	}
	return pair{public, secret}
}

// guarded is a bridge whose addresses ask for CURVE.
type guarded struct {
	zmqbridge.Bridge
	broker  *broker.Broker
	policy  *access.Policy
	server  pair
	denials chan string // "front cause identity", as counted
	before  []string    // those that were waited for

	mu  sync.Mutex
	log bytes.Buffer // guarded by mu
}

// Write implements io.Writer for the log.
func (g *guarded) Write(line []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.log.Write(line)
}

func (g *guarded) text() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.log.String()
}

func rules(t *testing.T, text string) *access.Rules {
	t.Helper()
	rules, err := access.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func startGuarded(t *testing.T, identities string, change func(*zmqbridge.Options)) *guarded {
	t.Helper()
	g := &guarded{server: newPair(t), denials: make(chan string, 1000)}
	log := slog.New(slog.NewTextHandler(g, nil))
	g.policy = access.NewPolicy(rules(t, identities), log, func(front, cause, identity string) {
		g.denials <- strings.TrimSpace(front + " " + cause + " " + identity)
	})
	limits := broker.DefaultOptions()
	limits.Log, limits.Denied = log, g.policy.Refused
	b, err := broker.New(limits)
	if err != nil {
		t.Fatal(err)
	}
	handlers := builtin.New(b, limits.Log)
	if err := handlers.AddDefaultRoutes(); err != nil {
		t.Fatal(err)
	}
	o := defaults(limits)
	o.Servers, o.Routers = []string{"tcp://127.0.0.1:*"}, []string{"tcp://127.0.0.1:*"}
	o.CurveKey, o.Access = g.server.secret, g.policy
	if change != nil {
		change(&o)
	}
	g.broker = b
	if g.Bridge, err = zmqbridge.Open(b, o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Close(flow.Draining, "the test is over")
		handlers.Wait()
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// addresses are where each kind of socket connects.
func (g *guarded) addresses() map[native.Kind]string {
	return map[native.Kind]string{native.Client: g.Servers()[0], native.Dealer: g.Routers()[0]}
}

func (g *guarded) dial(t *testing.T, kind native.Kind, keys pair) *native.Peer {
	t.Helper()
	p, err := native.DialCurve(kind, g.addresses()[kind], native.CurveKeys{
		Server: g.server.public, Public: keys.public, Secret: keys.secret,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(0) })
	return p
}

func takeThree(p *native.Peer) error {
	f, err := native.Open(p, 0, []byte(`{"flow":"BOT","direction":"inject","credit":2,"count":3}`), nil, 10*time.Second)
	if err != nil {
		return err
	}
	for range 3 {
		if _, err := f.Get(); err != nil {
			return err
		}
	}
	return f.Close()
}

// wantDenied waits for a denial. A peer that was denied before may have tried
// again meanwhile.
func (g *guarded) wantDenied(t *testing.T, want string) {
	t.Helper()
	for deadline := time.After(10 * time.Second); ; {
		select {
		case got := <-g.denials:
			if got == want {
				g.before = append(g.before, got)
				return
			}
			if !slices.Contains(g.before, got) {
				t.Errorf("counted %q, want %q", got, want)
			}
		case <-deadline:
			t.Fatalf("nothing was counted, want %q", want)
		}
	}
}

func TestCurve(t *testing.T) {
	reader := newPair(t)
	g := startGuarded(t, "identities: [{name: reader, roles: [client], curve-keys: ['"+reader.public+"']}]", nil)
	for _, kind := range []native.Kind{native.Client, native.Dealer} {
		if err := takeThree(g.dial(t, kind, reader)); err != nil {
			t.Errorf("%v: %v", kind, err)
		}
	}
	for _, f := range g.broker.Flows() {
		if f.Client.Name != "reader" {
			t.Errorf("flow %d is of %v", f.ID, f.Client)
		}
	}
}

// TestCurveRefuses: a key that nobody has, a peer without CURVE, and one that
// takes this gateway for another: none gets through, each is counted, and logged
// as often as such lines may come, however often it tries.
func TestCurveRefuses(t *testing.T) {
	reader := newPair(t)
	g := startGuarded(t, "identities: [{name: reader, roles: [client], curve-keys: ['"+reader.public+"']}]", nil)
	for _, kind := range []native.Kind{native.Client, native.Dealer} {
		front := map[native.Kind]string{native.Client: "zmq-server", native.Dealer: "zmq-router"}[kind]
		wrong := newPair(t)
		for cause, keys := range map[string]*native.CurveKeys{
			"unknown_key": {Server: g.server.public, Public: wrong.public, Secret: wrong.secret},
			"handshake":   {Server: wrong.public, Public: reader.public, Secret: reader.secret},
			"no_curve":    nil,
		} {
			var p *native.Peer
			var err error
			if keys == nil {
				p, err = native.Dial(kind, g.addresses()[kind], "")
			} else {
				p, err = native.DialCurve(kind, g.addresses()[kind], *keys)
			}
			if err != nil {
				t.Fatal(err)
			}
			sent := make(chan error, 1)
			go func() { // sending may wait for a connection that never comes to be
				f, err := native.Open(p, 0, []byte(`{"flow":"BOT","direction":"inject","credit":2}`), nil, 500*time.Millisecond)
				if err == nil {
					err = errors.New("got a flow: " + string(f.Reply.Label))
				}
				sent <- err
			}()
			g.wantDenied(t, front+" "+cause)
			if err := <-sent; !errors.Is(err, native.ErrTimeout) {
				t.Errorf("%v, %s: %v, want no answer", kind, cause, err)
			}
			_ = p.Close(0)
			lines := 0
			for line := range strings.Lines(g.text()) {
				if strings.Contains(line, "access denied") && strings.Contains(line, "front="+front) && strings.Contains(line, "cause="+cause) {
					lines++
				}
			}
			most := 1 // the peer is told, and comes no more
			if defaults(broker.DefaultOptions()).Engine == "libzmq" {
				most = 5 // it tries again: the burst of such lines
			}
			if lines < 1 || lines > most {
				t.Errorf("%v, %s: logged %d lines, want 1 to %d:\n%s", kind, cause, lines, most, g.text())
			}
		}
		if err := takeThree(g.dial(t, kind, reader)); err != nil {
			t.Errorf("%v with its own key: %v", kind, err)
		}
	}
	if n := len(g.broker.Flows()); n != 2 {
		t.Errorf("there were %d flows, want the 2 of the reader", n)
	}
}

// TestCurveReplace: a peer whose key is withdrawn stays connected, but its next
// BOT is refused; a key that is added is taken.
func TestCurveReplace(t *testing.T) {
	reader, writer := newPair(t), newPair(t)
	g := startGuarded(t, "identities: [{name: reader, roles: [client], curve-keys: ['"+reader.public+"']}]", nil)
	for _, kind := range []native.Kind{native.Client, native.Dealer} {
		g.policy.Replace(rules(t, "identities: [{name: reader, roles: [client], curve-keys: ['"+reader.public+"']}]"))
		p := g.dial(t, kind, reader)
		if err := takeThree(p); err != nil {
			t.Fatal(err)
		}
		g.policy.Replace(rules(t, "identities: [{name: reader, roles: [client], curve-keys: ['"+writer.public+"']}]"))
		if end, ok := errors.AsType[*native.EndError](takeThree(p)); !ok || end.Reason != "rejected" || !strings.Contains(end.Detail, "not allowed") {
			t.Errorf("%v: with the key withdrawn: %v", kind, end)
		}
		g.wantDenied(t, map[native.Kind]string{native.Client: "zmq-server", native.Dealer: "zmq-router"}[kind]+" role reader")
		if err := takeThree(g.dial(t, kind, writer)); err != nil {
			t.Errorf("%v: with the new key: %v", kind, err)
		}
	}
}

// TestPlainLocal: addresses of this machine may go without CURVE, beside one
// that does not.
func TestPlainLocal(t *testing.T) {
	reader := newPair(t)
	g := startGuarded(t, "identities: [{name: reader, roles: [client], curve-keys: ['"+reader.public+"']}]", func(o *zmqbridge.Options) {
		o.PlainLocal = true
	})
	for kind, address := range g.addresses() {
		p, err := native.Dial(kind, address, "")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close(0) })
		if err := takeThree(p); err != nil {
			t.Errorf("%v without CURVE: %v", kind, err)
		}
	}
	for _, f := range g.broker.Flows() {
		if f.Client.Name != "" {
			t.Errorf("a peer without proof is called %s", f.Client.Name)
		}
	}
}

// TestCurveNeedsItsParts: what makes no sense is refused before anything is
// bound.
func TestCurveNeedsItsParts(t *testing.T) {
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]zmqbridge.Options{
		"whose keys": {CurveKey: newPair(t).secret},
		"Z85":        {CurveKey: "short", Access: access.NewPolicy(rules(t, ""), nil, nil)},
	} {
		all := defaults(b.Options())
		all.CurveKey, all.Access, all.Servers = o.CurveKey, o.Access, []string{"tcp://127.0.0.1:*"}
		if bridge, err := zmqbridge.Open(b, all); err == nil || !strings.Contains(err.Error(), want) {
			if bridge != nil {
				_ = bridge.Close()
			}
			t.Errorf("%v, want %q", err, want)
		}
	}
	b.Close(flow.Draining, "")
}
