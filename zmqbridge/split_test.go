package zmqbridge_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmtp"
)

// chopped is a connection whose writes go out in pieces, each by itself.
type chopped struct {
	net.Conn
	size func() int // of the next piece
}

func (c *chopped) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		piece := min(c.size(), len(b))
		if _, err := c.Conn.Write(b[:piece]); err != nil {
			return n, err
		}
		n += piece
		b = b[piece:]
	}
	return n, nil
}

// bytewise sends byte by byte, and a long piece now and then: with nothing but bytes
// the long messages would take minutes.
func bytewise() func() int {
	const row, long = 4000, 400_001
	sent := 0
	return func() int {
		if sent++; sent%row == 0 {
			return long
		}
		return 1
	}
}

// pattern is bytes of which no two stretches are alike.
func pattern(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// dats is one message of each sort.
func dats(rng *rand.Rand) []*zio.Message {
	sizes := [][]int{
		{100}, {0}, {}, {0, 0, 5, 0}, {1, 254, 255, 256}, {4095, 4096, 4097}, {32<<10 - 1}, {32 << 10},
		{40_000}, {70_000, 3, 70_000}, {8<<10 - 60}, {64<<10 - 60}, {1<<20 + 12_345}, {2 << 20, 1},
	}
	var all []*zio.Message
	for i, parts := range sizes {
		m := &zio.Message{Level: byte(i % 9), Form: zio.FormFlow, Label: []byte(`{"flow":"DAT"}`)}
		m.Coord = zio.Coord{Origin: rng.Uint64(), Granule: rng.Uint64(), Seqno: uint64(i + 1)}
		for _, n := range parts {
			m.Payload = append(m.Payload, pattern(rng, n))
		}
		all = append(all, m)
	}
	return all
}

// conversation is what the giver says after its BOT: all the messages, a PING between
// any two frames, and EOT.
func conversation(p *raw, messages []*zio.Message) (b []byte, pings int) {
	for _, m := range messages {
		frames := p.frames(m)
		for i, frame := range frames {
			if i < 8 {
				b = p.ping(b, 0, fmt.Sprint("p", pings))
				pings++
			}
			b = p.frame(b, zmtp.Header{More: i < len(frames)-1}, frame)
		}
	}
	return p.wire(b, &zio.Message{Form: zio.FormFlow, Label: []byte(`{"flow":"EOT"}`)}), pings
}

// A conversation may come in any pieces: what arrives is the same.
func TestEverySplit(t *testing.T) {
	t.Parallel()
	splits := map[string]func(*rand.Rand) func() int{
		"bytes": func(*rand.Rand) func() int { return bytewise() },
		"small": func(rng *rand.Rand) func() int { return func() int { return 1 + rng.IntN(200) } },
		"any":   func(rng *rand.Rand) func() int { return func() int { return 1 + rng.IntN(1<<uint(1+rng.IntN(19))) } },
		"whole": func(*rand.Rand) func() int { return func() int { return 1 << 30 } },
	}
	for _, curve := range []bool{false, true} {
		for _, kind := range []zmtp.SocketType{zmtp.Client, zmtp.Dealer} {
			for name, split := range splits {
				t.Run(fmt.Sprintf("%s %s curve %t", kind, name, curve), func(t *testing.T) {
					t.Parallel()
					rng := rand.New(rand.NewPCG(1, uint64(len(name))))
					testSplit(t, kind, curve, split(rng), rng)
				})
			}
		}
	}
}

func testSplit(t *testing.T, kind zmtp.SocketType, curve bool, size func() int, rng *rand.Rand) {
	g := newRig(t, func(s *setup) { s.curve = curve })
	messages := dats(rng)
	taker := g.dial(kind)
	giver := splitPeer(t, g, kind, size)
	taker.say(bot(zio.Inject, 100, 0))
	giver.say(bot(zio.Extract, 100, g.offered().CID))
	giver.want(zio.BOT)
	taker.want(zio.BOT)
	taker.say(`{"flow":"PAY","credit":100}`)
	giver.want(zio.PAY)
	wire, pings := conversation(giver, messages)
	sent := make(chan error, 1)
	go func() {
		_, err := giver.Write(wire)
		sent <- err
	}()
	for i, want := range messages {
		if difference := same(taker.receive(), want); difference != "" {
			t.Fatalf("message %d differs: %s", i, difference)
		}
	}
	taker.want(zio.EOT)
	taker.say(`{"flow":"EOT"}`)
	giver.want(zio.EOT)
	if err := <-sent; err != nil {
		t.Error(err)
	}
	// Of PINGs that come faster than they can be answered only the latest need be.
	if last := fmt.Sprint("p", pings-1); len(giver.pongs) == 0 || string(giver.pongs[len(giver.pongs)-1]) != last {
		t.Errorf("%d PONGs came for %d PINGs, want one for the last", len(giver.pongs), pings)
	}
}

// splitPeer is a raw peer whose handshake goes out in pieces, too.
func splitPeer(t *testing.T, g *rig, kind zmtp.SocketType, size func() int) *raw {
	t.Helper()
	conn, err := connect(g.address(kind), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	p := &raw{t: t, Conn: &chopped{conn, size}, kind: kind}
	if err := p.shake(dialing{Config: zmtp.Config{Type: kind, Curve: g.keys()}, minor: 1}); err != nil {
		t.Fatal(err)
	}
	return p
}

// A peer that does not wait for the gateway's READY is understood: all it has to say
// may come at once.
func TestAllAtOnce(t *testing.T) {
	t.Parallel()
	for _, kind := range []zmtp.SocketType{zmtp.Client, zmtp.Dealer} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			g := newRig(t, func(*setup) {})
			conn, err := connect(g.address(kind), "")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			p := &raw{t: t, Conn: conn, kind: kind}
			handshake := zmtp.NewHandshake(&zmtp.Config{Type: kind})
			_, ready, err := handshake.Receive(zmtp.NewHandshake(&zmtp.Config{Type: zmtp.Router, AsServer: true}).Start())
			if err != nil {
				t.Fatal(err)
			}
			b := bytes.Join([][]byte{handshake.Start(), ready}, nil)
			p.write(p.wire(b, &zio.Message{Form: zio.FormFlow, Label: []byte(bot(zio.Inject, 5, 0))}))
			if o := g.offered(); o.Credit != 5 {
				t.Errorf("the flow was offered with credit %d, want 5", o.Credit)
			}
		})
	}
}
