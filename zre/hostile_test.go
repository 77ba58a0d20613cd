package zre_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/zioflow/gateway/zmqbridge/dial"
	"github.com/zioflow/gateway/zmtp"
	"github.com/zioflow/gateway/zre"
	"github.com/zioflow/gateway/zre/wire"
)

// These tests measure the process, and so are not parallel.

// measured is what the process holds.
type measured struct {
	heap       uint64
	goroutines int
}

func measure() measured {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return measured{m.HeapInuse + m.StackInuse, runtime.NumGoroutine()}
}

// watchPeak calls a function, and returns what the process holds at most meanwhile.
func watchPeak(during func()) (peak measured) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		during()
	}()
	for {
		now := measure()
		peak.heap, peak.goroutines = max(peak.heap, now.heap), max(peak.goroutines, now.goroutines)
		select {
		case <-done:
			return peak
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// falseBeacons are of 10,000 nodes that are not there, with others in between: of other
// versions, no beacons at all, and some in the node's own name.
func falseBeacons(t *testing.T, n *zre.Node, to uint16) {
	conn, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 255, 255, 255), Port: int(to)})
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = conn.Close() }()
	heard := n.Stats().Heard
	for i := range 10_000 {
		b := wire.Beacon{Port: uint16(1 + i%1000)} // nobody listens there
		binary.BigEndian.PutUint32(b.UUID[4:], uint32(i))
		datagram := b.Append(nil)
		switch i % 10 {
		case 7:
			datagram[3] = byte(i)
		case 8:
			datagram = append(datagram, make([]byte, 1000)...)
		case 9:
			datagram = wire.Beacon{UUID: n.UUID(), Port: b.Port}.Append(nil)
		}
		_, _ = conn.Write(datagram)
		if i%50 == 49 {
			heard = heardBy(n, heard+50) // or they would get lost on their way
		}
	}
}

// heardBy waits until a node has heard so many beacons, or some of them seem to be lost, and
// returns how many it has heard.
func heardBy(n *zre.Node, beacons uint64) uint64 {
	for deadline := time.Now().Add(time.Second); n.Stats().Heard < beacons && time.Now().Before(deadline); {
		runtime.Gosched()
	}
	return n.Stats().Heard
}

// TestFalseBeacons_PEER_6: 10,000 beacons of nobody cost no memory and no goroutine each,
// and a node that is there is found all the while.
func TestFalseBeacons_PEER_6(t *testing.T) {
	o := quick("a", beaconPort(t))
	n := open(t, o)
	before := measure()
	peak := watchPeak(func() { falseBeacons(t, n, o.BeaconPort) })
	s := n.Stats()
	t.Logf("%d bytes and %d goroutines more; %+v", int64(peak.heap)-int64(before.heap), peak.goroutines-before.goroutines, s)
	if grown := int64(peak.heap) - int64(before.heap); grown > 8<<20 {
		t.Errorf("false beacons take %d bytes", grown)
	}
	if grown := peak.goroutines - before.goroutines; grown > 100 {
		t.Errorf("false beacons take %d goroutines", grown)
	}
	if s.Heard < 5000 || s.Dropped["version"] == 0 || s.Dropped["malformed"] == 0 || s.Dropped["own"] == 0 || s.Dropped["busy"] == 0 {
		t.Errorf("counted %+v", s)
	}
	b := open(t, quick("b", o.BeaconPort))
	await(t, n.Table(), "found after all", count(1))
	await(t, b.Table(), "found after all", count(1))
}

// stranger connects to a node's inbox in the name of the node with that number.
func stranger(t *testing.T, to string, number byte) *dial.Conn {
	t.Helper()
	o := dial.DefaultOptions(to, zmtp.Dealer)
	u := wire.UUID{15: number}
	o.Identity = "\x01" + string(u[:])
	o.FirstRetry, o.LastRetry, o.Heartbeat = time.Hour, time.Hour, 0
	c, err := dial.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(0) })
	return c
}

// inboxOf is the endpoint of a node, as another one sees it.
func inboxOf(t *testing.T, n *zre.Node, beacons uint16) string {
	t.Helper()
	other := open(t, quick("other", beacons))
	await(t, other.Table(), "found", count(1))
	await(t, n.Table(), "found", count(1))
	return other.Table().After(0)[0].Endpoint
}

// counted waits until so many things were dropped for a cause.
func counted(t *testing.T, n *zre.Node, cause string, want uint64) {
	t.Helper()
	for deadline := time.Now().Add(patience); n.Stats().Dropped[cause] != want; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: dropped %d, want %d", cause, n.Stats().Dropped[cause], want)
		}
	}
}

// TestFalseHellos: whoever connects and says what it must not is sent away, and counted.
func TestFalseHellos(t *testing.T) {
	o := quick("a", beaconPort(t))
	n := open(t, o)
	inbox := inboxOf(t, n, o.BeaconPort)
	hello := func(m wire.Message) []byte {
		m.Command = wire.Hello
		if m.Sequence == 0 {
			m.Sequence = 1
		}
		if m.Endpoint == "" {
			m.Endpoint = "tcp://127.0.0.1:1"
		}
		return m.Append(nil)
	}
	old := hello(wire.Message{})
	old[3] = 1
	before := measure()
	for number, c := range []struct {
		cause string
		parts [][]byte
	}{
		{"version", [][]byte{old}},
		{"malformed", [][]byte{nil, hello(wire.Message{})}},
		{"bounds", [][]byte{[]byte("\xaa\xa1\x01\x02\x00\x01\x00\xff\xff\xff\xff")}}, // groups without end
		{"bounds", [][]byte{append(hello(wire.Message{}), make([]byte, 10<<20)...)}},
		{"sequence", [][]byte{hello(wire.Message{Sequence: 7})}},
		{"endpoint", [][]byte{hello(wire.Message{Endpoint: "tcp://10.1.2.3:5000"})}},
	} {
		was := n.Stats().Dropped[c.cause]
		conn := stranger(t, inbox, byte(number+1))
		if err := conn.SendParts(t.Context(), c.parts...); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.ReceiveParts(t.Context()); err == nil {
			t.Errorf("%s: was sent something", c.cause)
		}
		counted(t, n, c.cause, was+1)
	}
	if grown := int64(measure().heap) - int64(before.heap); grown > 8<<20 {
		t.Errorf("false HELLOs take %d bytes", grown)
	}
	if n.Table().Len() != 1 {
		t.Errorf("the nodes are %v", n.Table().After(0))
	}
}

// TestStrangers: those who connect and say nothing find no more room than there is, and
// do not take that of others.
func TestStrangers(t *testing.T) {
	o := quick("a", beaconPort(t))
	n := open(t, o)
	inbox := inboxOf(t, n, o.BeaconPort)
	before := measure()
	var conns []net.Conn
	late := time.Now().Add(zre.HandshakeTimeout) // or after that
	peak := watchPeak(func() {
		for range 500 {
			c, err := net.Dial("tcp4", inbox[len("tcp://"):])
			if err != nil {
				t.Error(err)
				return
			}
			conns = append(conns, c)
		}
	})
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for _, c := range conns[:500-zre.MaxStrangers] { // the oldest are closed, before they are late
		if err := c.SetReadDeadline(late); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, c); err != nil && isTimeout(err) {
			t.Fatal("a connection of a stranger beyond the bound was not closed")
		}
	}
	if grown := int64(peak.heap) - int64(before.heap); grown > 8<<20 || peak.goroutines-before.goroutines > zre.MaxStrangers+50 {
		t.Errorf("strangers take %d bytes, %d goroutines", grown, peak.goroutines-before.goroutines)
	}
	third := open(t, quick("third", o.BeaconPort))
	await(t, n.Table(), "found", count(2))
	await(t, third.Table(), "found", count(2))
}

func isTimeout(err error) bool {
	timed, ok := errors.AsType[net.Error](err)
	return ok && timed.Timeout()
}

// TestIdentities: who comes in the name of no node, or of the node itself, is refused.
func TestIdentities(t *testing.T) {
	o := quick("a", beaconPort(t))
	n := open(t, o)
	inbox := inboxOf(t, n, o.BeaconPort)
	own := n.UUID()
	for name, refused := range map[string]bool{
		"": true, "\x01": true, "sixteen bytes...": true, "\x02sixteen bytes...": true, "\x01sixteen bytes...": false,
	} {
		d := dial.DefaultOptions(inbox, zmtp.Dealer)
		d.Identity = name
		c, err := dial.Dial(t.Context(), d)
		if (err != nil) != refused {
			t.Errorf("%q: %v, want refused %t", name, err, refused)
		}
		if c != nil {
			_ = c.Close(0)
		}
	}
	d := dial.DefaultOptions(inbox, zmtp.Dealer)
	d.Identity = "\x01" + string(own[:])
	c, err := dial.Dial(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(0) }()
	if _, err := c.ReceiveParts(t.Context()); err == nil {
		t.Error("a connection in the node's own name is served")
	}
}

// TestMessageBounds: what follows a message's first part is read past, within bounds; a
// PING of ZMTP is answered.
func TestMessageBounds(t *testing.T) {
	o := quick("a", beaconPort(t))
	n := open(t, o)
	inbox := inboxOf(t, n, o.BeaconPort)
	whisper := wire.Message{Command: wire.Whisper, Sequence: 5}.Append(nil)
	content := make([]byte, 10<<20)
	before := measure()
	peak := watchPeak(func() {
		c := stranger(t, inbox, 1)
		for i := range 3 { // it may do so, and is not listened to, as it has not said HELLO
			if err := c.SendParts(t.Context(), whisper, content, content, content); err != nil {
				t.Error(err)
			}
			counted(t, n, "no_hello", uint64(i+1))
		}
	})
	if grown := int64(peak.heap) - int64(before.heap); grown > 8<<20 {
		t.Errorf("messages take %d bytes", grown)
	}
	many := make([][]byte, 2000)
	many[0] = whisper
	for what, parts := range map[string][][]byte{
		"too many bytes": {whisper, content, content, content, content, content, content, content},
		"too many parts": many,
	} {
		c := stranger(t, inbox, 2)
		if err := c.SendParts(t.Context(), parts...); err != nil {
			t.Fatal(err)
		}
		soon, cancel := context.WithTimeout(t.Context(), patience/2) // who says nothing is cut, too, but later
		if _, err := c.ReceiveParts(soon); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want that the connection was closed", what, err)
		}
		cancel()
	}
	d := dial.DefaultOptions(inbox, zmtp.Dealer)
	d.Identity = "\x01sixteen bytes..."
	d.Heartbeat, d.HeartbeatTimeout = 50*time.Millisecond, 5*time.Second // longer than a busy machine keeps a process from running
	alive, err := dial.Dial(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = alive.Close(0) }()
	ctx, cancel := context.WithTimeout(t.Context(), d.HeartbeatTimeout+time.Second)
	defer cancel()
	if _, err := alive.ReceiveParts(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("PINGs get no PONG: %v", err)
	}
}
