package zmqbridge_test

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zioflow/gateway/zmtp"
)

// outcomes are the handshakes that were counted, without those that succeeded.
func (g *rig) outcomes() string {
	var all []string
	for _, kind := range []zmtp.SocketType{zmtp.Client, zmtp.Dealer} {
		for outcome, n := range g.stats(kind).Handshakes {
			if n > 0 && outcome != "ok" {
				all = append(all, fmt.Sprint(outcome, " ", n))
			}
		}
	}
	return strings.Join(all, ", ")
}

// greeting is that of a peer of ZMTP 3.1 with that mechanism.
func greeting(mechanism string) []byte {
	b := zmtp.NewHandshake(&zmtp.Config{Type: zmtp.Dealer}).Start()
	copy(b[12:32], append([]byte(mechanism), make([]byte, 20)...))
	return b
}

// ready is a READY or another command with a socket type.
func ready(name, socketType string) []byte {
	data := append([]byte("\x0bSocket-Type\x00\x00\x00"), byte(len(socketType)))
	body := zmtp.AppendCommand(nil, name, append(data, socketType...))
	return append(zmtp.AppendHeader(nil, zmtp.Header{Command: true, Size: uint64(len(body))}), body...)
}

// refusal is what a peer says that is not let in, and what comes of it.
type refusal struct {
	name    string
	curve   bool
	say     []byte
	leave   bool   // closes the connection then
	told    string // the ERROR's reason; empty where the protocol has none
	outcome string
	logged  string // words of the one line
}

var refusals = []refusal{
	{name: "another socket type", say: append(greeting("NULL"), ready("READY", "PUB")...),
		told: "Invalid socket type", outcome: "socket_type", logged: "PUB"},
	{name: "no socket type", say: append(greeting("NULL"), ready("READY", "")...),
		told: "Invalid socket type", outcome: "socket_type", logged: "connection refused"},
	{name: "another mechanism", say: greeting("PLAIN"),
		told: "Invalid mechanism, NULL is required", outcome: "mechanism", logged: "PLAIN"},
	{name: "CURVE where there is none", say: greeting("CURVE"),
		told: "Invalid mechanism, NULL is required", outcome: "mechanism", logged: "CURVE"},
	{name: "no CURVE where there is some", curve: true, say: greeting("NULL"),
		told: "Invalid mechanism, CURVE is required", outcome: "mechanism", logged: "cause=no_curve"},
	{name: "ZMTP 2.0", say: []byte{0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 1, 5}, outcome: "version", logged: "ZMTP 2.0"},
	{name: "ZMTP 1.0", say: []byte{1, 0}, outcome: "version", logged: "ZMTP 1.0"},
	{name: "HTTP", say: []byte("GET / HTTP/1.1\r\n\r\n"), outcome: "foreign", logged: "an HTTP request"},
	{name: "TLS", say: []byte{0x16, 3, 1, 2, 0, 1}, outcome: "foreign", logged: "a TLS handshake"},
	{name: "noise", say: []byte("\xde\xad\xbe\xef"), outcome: "foreign", logged: "bytes de ad"},
	{name: "a message", say: append(greeting("NULL"), 0, 1, 'x'), told: "Protocol error", outcome: "protocol", logged: "a message"},
	{name: "another command", say: append(greeting("NULL"), ready("HELLO", "DEALER")...),
		told: "Protocol error", outcome: "protocol", logged: "HELLO"},
	{name: "a command that is too long", say: append(greeting("NULL"), 6, 0, 0, 0, 0, 1, 0, 0, 0),
		told: "Protocol error", outcome: "protocol", logged: "more than 4096"},
	{name: "an ERROR", say: append(greeting("NULL"), zmtp.AppendError(nil, "no")...), outcome: "refused", logged: `\"no\"`},
	{name: "too slow a greeting", say: greeting("NULL")[:20], outcome: "slow", logged: "greeting did not come"},
	{name: "too slow a READY", say: greeting("NULL"), told: "the handshake takes too long", outcome: "slow", logged: "READY did not come"},
	{name: "nothing", outcome: "slow", logged: "greeting did not come"},
	{name: "too slow a HELLO", curve: true, say: greeting("CURVE"),
		told: "the handshake takes too long", outcome: "slow", logged: "HELLO did not come"},
	{name: "a probe", leave: true, outcome: "left", logged: "greeting"},
	{name: "leaves before READY", say: greeting("NULL"), leave: true, outcome: "left", logged: "READY"},
	{name: "leaves an address with CURVE", curve: true, say: greeting("CURVE"), leave: true, outcome: "left", logged: "cause=no_curve"},
}

// Whoever is not let in is told why, as far as the protocol has words for that, and
// so is the operator: a counter, and a line.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, func(s *setup) { s.curve, s.bridge.Handshake = r.curve, 300*time.Millisecond })
			conn, err := connect(g.address(zmtp.Dealer), "")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			p := &raw{t: t, Conn: conn, kind: zmtp.Dealer}
			p.write(r.say)
			if r.leave {
				_ = conn.Close()
			} else if told := p.refused(); told != r.told {
				t.Errorf("the peer was told %q, want %q", told, r.told)
			}
			until(t, "an outcome", func() bool { return g.outcomes() != "" })
			if got := g.outcomes(); got != r.outcome+" 1" {
				t.Errorf("%s was counted, want %s", got, r.outcome)
			}
			until(t, "the connection is gone", func() bool { return g.stats(zmtp.Dealer).Handshaking == 0 })
			until(t, "it is logged", func() bool { return len(g.logged()) > 0 })
			if lines := g.logged(); len(lines) != 1 || !strings.Contains(lines[0], r.logged) {
				t.Errorf("%d lines tell of it, want one with %s: %q", len(lines), r.logged, lines)
			}
		})
	}
}

// refused reads to the end what a handshake is answered by, and returns the reason in
// its ERROR.
func (p *raw) refused() (told string) {
	p.t.Helper()
	if err := p.SetReadDeadline(time.Now().Add(patient)); err != nil {
		p.t.Fatal(err)
	}
	b, err := io.ReadAll(p)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		p.t.Fatal(err)
	}
	if len(b) < 64 {
		p.t.Fatalf("%d bytes came, want a greeting", len(b))
	}
	p.unread = b[64:]
	if len(p.unread) == 0 {
		return ""
	}
	h, n, err := zmtp.ParseHeader(p.unread)
	if err != nil || n+int(h.Size) != len(p.unread) {
		p.t.Fatalf("%q came", p.unread)
	}
	name, data, err := zmtp.ParseCommand(p.unread[n:])
	if err != nil || name != "ERROR" {
		p.t.Fatalf("%s came, %v", name, err)
	}
	told, err = zmtp.ParseError(data)
	if err != nil {
		p.t.Fatal(err)
	}
	return told
}

// A key that nobody has, and a peer that takes the gateway for another.
func TestWrongKeys(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(s *setup) { s.curve = true })
	other := newPair(t)
	d := dialing{Config: zmtp.Config{Type: zmtp.Dealer, Curve: curveKeys(t, other, g.server.public)}, minor: 1}
	_, err := g.try(d)
	wantRefused(t, err, "no identity has the CURVE key")
	d.Curve = curveKeys(t, g.client, other.public)
	if _, err := g.try(d); err == nil || !strings.Contains(err.Error(), "Invalid key") {
		t.Errorf("a peer with another gateway's key was told %v", err)
	}
	until(t, "both are counted", func() bool { return g.stats(zmtp.Dealer).Handshakes["key"] == 2 })
	until(t, "both are logged", func() bool { return len(g.logged("access denied")) == 2 })
	for _, cause := range []string{"cause=unknown_key", "cause=handshake"} {
		if n := len(g.logged("access denied", cause)); n != 1 {
			t.Errorf("%d lines have %s, want 1", n, cause)
		}
	}
}

// No more connections are established than may be, however many come at once; a place
// that becomes free is taken.
func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	const most, come = 3, 40
	g := newRig(t, func(s *setup) { s.bridge.MaxConnections = most })
	var wait sync.WaitGroup
	peers, refused := make(chan *raw, come), make(chan error, come)
	for range come {
		wait.Go(func() {
			p, err := g.try(dialing{Config: zmtp.Config{Type: zmtp.Dealer}, minor: 1})
			if err != nil {
				refused <- err
				return
			}
			peers <- p
		})
	}
	wait.Wait()
	if len(peers) != most {
		t.Fatalf("%d connections were established, want %d", len(peers), most)
	}
	for range come - most {
		wantRefused(t, <-refused, fmt.Sprintf("the gateway has %d connections here", most))
	}
	until(t, "all are counted", func() bool { return g.stats(zmtp.Dealer).Handshakes["busy"] == come-most })
	g.dial(zmtp.Client) // the other endpoint has places of its own
	_ = (<-peers).Close()
	until(t, "the place is free", func() bool { return g.stats(zmtp.Dealer).Connections < most })
	g.dial(zmtp.Dealer)
}

// Nor are more handshakes begun.
func TestTooManyHandshakes(t *testing.T) {
	t.Parallel()
	const most = 3
	g := newRig(t, func(s *setup) { s.bridge.MaxHandshakes, s.bridge.Handshake = most, time.Minute })
	var begun []*raw
	for range most {
		conn, err := connect(g.address(zmtp.Dealer), "")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		begun = append(begun, &raw{t: t, Conn: conn})
	}
	until(t, "all have begun", func() bool { return g.stats(zmtp.Dealer).Handshaking == most })
	conn, err := connect(g.address(zmtp.Dealer), "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if b, _ := io.ReadAll(conn); len(b) > 0 { // before a greeting the protocol has no words
		t.Errorf("%q came", b)
	}
	until(t, "it is counted", func() bool { return g.stats(zmtp.Dealer).Handshakes["busy"] == 1 })
	until(t, "it is logged", func() bool { return len(g.logged("connection refused", "cause=busy")) > 0 })
	if n := len(g.logged()); n != 1 {
		t.Errorf("%d lines tell of it, want 1", n)
	}
	_ = begun[0].Close()
	until(t, "a place is free", func() bool { return g.stats(zmtp.Dealer).Handshaking < most })
	g.dial(zmtp.Dealer)
}
