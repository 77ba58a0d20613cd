package peers_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/zioflow/gateway/zre/peers"
	"github.com/zioflow/gateway/zre/wire"
)

// TestSequence_PEER_5: a peer's numbers go round, as Zyre's do and as pyre's do; this
// node's begin anew before, and no number is left out.
func TestSequence_PEER_5(t *testing.T) {
	t.Parallel()
	for name, last := range map[string]uint16{"Zyre": 65535, "pyre": 65534} {
		t.Run(name, func(t *testing.T) {
			p := &player{now: time.Unix(0, 0), machine: peers.New(uuidOf("self"), peers.DefaultOptions())}
			p.step(peers.Announced{Announcement: announcement([]string{"me", "10.9.0.1/24"})})
			p.step(peers.Opened{In: 1, UUID: uuidOf("a"), From: netip.MustParseAddr("10.9.0.2")})
			p.step(received(t, 1, strings.Fields("HELLO 1 tcp://10.9.0.2:5000 anna")))
			p.step(peers.Connected{Out: 1})
			sequence, sent, hellos := uint16(1), uint16(1), 0
			for range 66_000 {
				if sequence++; sequence == last+1 {
					sequence = 0
				}
				m := wire.Message{Command: wire.Ping, Sequence: sequence}
				for _, e := range p.machine.Step(p.now, peers.Received{In: 1, Message: m}) {
					send, ok := e.(peers.Send)
					if ok && send.Message.Command == wire.Hello {
						hellos, sent = hellos+1, 0
					}
					if sent++; !ok || send.Message.Sequence != sent || sent >= 65534 {
						t.Fatalf("after number %d: %s, want number %d", sequence, tell(e), sent)
					}
				}
			}
			if hellos != 1 {
				t.Errorf("HELLO was sent %d times", hellos)
			}
		})
	}
}

// TestBounds: whatever comes, no more is held than the options allow.
func TestBounds(t *testing.T) {
	t.Parallel()
	o := peers.DefaultOptions()
	m := peers.New(uuidOf("self"), o)
	now := time.Unix(0, 0)
	m.Step(now, peers.Announced{Announcement: announcement([]string{"me", "10.9.0.1/16"})})
	dials, hangs := 0, 0
	for i := range 20_000 {
		now = now.Add(time.Millisecond)
		var u wire.UUID
		binary.BigEndian.PutUint32(u[:], uint32(i)+1)
		from := netip.AddrFrom4([4]byte{10, 9, byte(i >> 3), byte(i)})
		effects := m.Step(now, peers.Heard{From: from, Beacon: wire.Beacon{UUID: u, Port: uint16(i)}})
		effects = append(effects, m.Step(now, peers.Tick{})...)
		for _, e := range effects {
			switch e.(type) {
			case peers.Dial:
				dials++
			case peers.Hang:
				hangs++
			case peers.Refused:
			default:
				t.Fatal(tell(e))
			}
		}
		if m.Connecting() > o.Connecting || dials-hangs > o.Connecting {
			t.Fatalf("%d connections are being made, %d begun, %d given up", m.Connecting(), dials, hangs)
		}
	}
	if dials < o.Connecting || dials > 2*o.Connecting { // each takes 15 s until it is given up
		t.Errorf("%d connections were begun in 20 s", dials)
	}
	if n := m.Counts()[peers.Busy]; n < 18_000 {
		t.Errorf("%d beacons were counted as too many", n)
	}
}

// FuzzMachine plays events of any kind, and proves that everything that was begun is
// ended, and nobody leaves who has not entered.
func FuzzMachine(f *testing.F) {
	f.Add([]byte("\x00a\x01\x03\x01\x00\x05a\x01\x06\x01\x00\x06\x02\x01\x08\xff\x00"))
	f.Add([]byte("\x05b\x02\x06\x01\x00\x03\x01\x00\x06\x02\x01\x07\x01\x00\x08\x10\x00\x04\x01\x00"))
	f.Fuzz(func(t *testing.T, script []byte) {
		o := peers.DefaultOptions()
		o.MaxPeers, o.PerHost, o.MaxBytes, o.Renew = 4, 3, 300, 5
		c := checker{t: t, machine: peers.New(uuidOf("self"), o), now: time.Unix(0, 0),
			outs: map[peers.Out]bool{}, ins: map[peers.In]bool{}, entered: map[wire.UUID]bool{}}
		c.step(peers.Announced{Announcement: announcement([]string{"me", "10.9.0.1/24", "127.0.0.1/8"})})
		for ; len(script) >= 3; script = script[3:] {
			c.play(script[0], script[1], script[2])
		}
		if len(c.entered) > o.MaxPeers || len(c.outs) > o.MaxPeers {
			t.Errorf("%d peers, %d connections", len(c.entered), len(c.outs))
		}
		c.now = c.now.Add(time.Hour)
		c.step(peers.Tick{})
		if len(c.outs) > 0 || len(c.entered) > 0 {
			t.Errorf("left over: %v %v", c.outs, c.entered)
		}
	})
}

type checker struct {
	t       *testing.T
	machine *peers.Machine
	now     time.Time
	outs    map[peers.Out]bool // whether it is connected
	ins     map[peers.In]bool
	entered map[wire.UUID]bool
	last    peers.In
}

func (c *checker) play(kind, a, b byte) {
	u := uuidOf(string('a' + rune(a%6)))
	from := netip.AddrFrom4([4]byte{10, 9, 0, 1 + b%3})
	out, in := peers.Out(a), peers.In(a)
	switch kind % 9 {
	case 0:
		c.step(peers.Heard{From: from, Beacon: wire.Beacon{UUID: u, Port: uint16(b % 3)}})
	case 1:
		c.step(peers.Announced{Announcement: announcement([]string{fmt.Sprint(a % 2), "10.9.0.1/24"})})
	case 3:
		if connected, there := c.outs[out]; there && !connected {
			c.outs[out] = true
			c.step(peers.Connected{Out: out})
		}
	case 4:
		if _, there := c.outs[out]; there {
			delete(c.outs, out)
			c.step(peers.Closed{Out: out})
		}
	case 5:
		c.last++
		c.ins[c.last] = true
		c.step(peers.Opened{In: c.last, UUID: u, From: from})
	case 6:
		m := wire.Message{Command: wire.Command(1 + b%8), Sequence: uint16(b), Endpoint: fmt.Sprintf("tcp://10.9.0.%d:%d", 1+b%3, 1+b%2), Name: "n"}
		if m.Command == wire.Hello {
			m.Sequence = 1
		}
		c.step(peers.Received{In: in, Message: m})
	case 7:
		if c.ins[in] {
			delete(c.ins, in)
			c.step(peers.Dropped{In: in})
		}
	case 8:
		c.now = c.now.Add(time.Duration(a) * 100 * time.Millisecond)
		c.step(peers.Tick{})
	}
}

func (c *checker) step(e peers.Event) {
	for _, effect := range c.machine.Step(c.now, e) {
		wrong := false
		switch e := effect.(type) {
		case peers.Dial:
			c.outs[e.Out] = false
		case peers.Send:
			wrong = !c.outs[e.Out]
		case peers.Hang:
			_, there := c.outs[e.Out]
			wrong = !there
			delete(c.outs, e.Out)
		case peers.Cut:
			wrong = !c.ins[e.In]
			delete(c.ins, e.In)
		case peers.Entered:
			wrong = c.entered[e.UUID]
			c.entered[e.UUID] = true
		case peers.Changed:
			wrong = !c.entered[e.UUID]
		case peers.Exited:
			wrong = !c.entered[e.UUID]
			delete(c.entered, e.UUID)
		}
		if wrong {
			c.t.Errorf("after %T%+v: %s", e, e, tell(effect))
		}
	}
}
