//go:build soak

package soak

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// hostility is something bad to do to a ZeroMQ port. An error is no failure:
// the gateway may hang up at any time.
type hostility struct {
	name string
	act  func(*net.TCPConn, *rand.Rand) error
	hold bool // leave the connection open for a while
}

var hostilities = []hostility{
	{"random bytes", func(c *net.TCPConn, rng *rand.Rand) error { return write(c, noise(rng, 500)) }, false},
	{"part of a greeting", func(c *net.TCPConn, rng *rand.Rand) error { return write(c, wireGreeting[:rng.IntN(64)]) }, false},
	{"altered greeting", func(c *net.TCPConn, rng *rand.Rand) error {
		b := bytes.Clone(wireGreeting)
		b[rng.IntN(len(b))] ^= byte(1 + rng.IntN(255))
		return write(c, b, wireReady("DEALER"))
	}, false},
	{"ZMTP 1 and 2", func(c *net.TCPConn, rng *rand.Rand) error {
		return write(c, []byte{0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, byte(rng.IntN(3)), 5, 0, 0}, noise(rng, 100))
	}, false},
	{"another mechanism", func(c *net.TCPConn, rng *rand.Rand) error {
		b := bytes.Clone(wireGreeting)
		copy(b[12:], []string{"PLAIN", "CURVE", "GSSAPI", "\xff\xff\xff\xff"}[rng.IntN(4)])
		return write(c, b, wireReady("DEALER"))
	}, false},
	{"malformed READY", func(c *net.TCPConn, rng *rand.Rand) error {
		body := append([]byte("\x05READY\x0bSocket-Type"), byte(rng.IntN(256)), byte(rng.IntN(256)), 0xff, 0xff)
		return write(c, wireGreeting, []byte{wireCommand, byte(len(body))}, body)
	}, false},
	{"another socket type", func(c *net.TCPConn, rng *rand.Rand) error {
		return write(c, wireGreeting, wireReady([]string{"PUB", "REQ", "SERVER", "ROUTER", "", "NONSENSE"}[rng.IntN(6)]), noise(rng, 50))
	}, false},
	{"frame beyond any memory", func(c *net.TCPConn, rng *rand.Rand) error {
		return afterHandshake(c, rng, wireHead(byte(rng.IntN(2)), 1<<62+rng.IntN(1<<60)), noise(rng, 100))
	}, false},
	{"endless parts", func(c *net.TCPConn, rng *rand.Rand) error {
		return afterHandshake(c, rng, bytes.Repeat([]byte{wireMore, 1, 'x'}, 500))
	}, false},
	{"malformed commands", func(c *net.TCPConn, rng *rand.Rand) error {
		body := append([]byte([]string{"\x04PING", "\x04PONG", "\x05ERROR", "\x09SUBSCRIBE", "\xffREADY", ""}[rng.IntN(6)]), noise(rng, 100)...)
		return afterHandshake(c, rng, []byte{wireCommand | byte(rng.IntN(2)), byte(len(body))}, body)
	}, false},
	{"reserved flags", func(c *net.TCPConn, rng *rand.Rand) error {
		return afterHandshake(c, rng, []byte{byte(8 << rng.IntN(5)), 3, 'a', 'b', 'c'})
	}, false},
	{"messages that are no ZIO", func(c *net.TCPConn, rng *rand.Rand) error {
		b := noise(rng, 200)
		return afterHandshake(c, rng, []byte{wireMore, 0}, wireHead(0, len(b)), b, wireHead(0, len(b)), b)
	}, false},
	{"silence", func(*net.TCPConn, *rand.Rand) error { return nil }, true},
	{"stall in the greeting", func(c *net.TCPConn, rng *rand.Rand) error { return write(c, wireGreeting[:11+rng.IntN(50)]) }, true},
	{"stall in a frame", func(c *net.TCPConn, rng *rand.Rand) error {
		return afterHandshake(c, rng, wireHead(0, 60<<20), noise(rng, 100))
	}, true},
	{"half-close", func(c *net.TCPConn, rng *rand.Rand) error {
		return errors.Join(afterHandshake(c, rng), c.CloseWrite())
	}, true},
}

func write(c *net.TCPConn, parts ...[]byte) error {
	_, err := c.Write(bytes.Join(parts, nil))
	return err
}

// afterHandshake says what a CLIENT or DEALER does, and then that.
func afterHandshake(c *net.TCPConn, rng *rand.Rand, parts ...[]byte) error {
	kind := []string{"CLIENT", "DEALER"}[rng.IntN(2)]
	return write(c, append([][]byte{wireGreeting, wireReady(kind)}, parts...)...)
}

func noise(rng *rand.Rand, most int) []byte {
	b := make([]byte, 1+rng.IntN(most))
	for i := range b {
		b[i] = byte(rng.UintN(256))
	}
	return b
}

// maxHeld is how many hostile connections are left open at once.
const maxHeld = 400

// TestHostileConnections makes tens of thousands of them to both ZeroMQ ports,
// while honest flows go on.
func TestHostileConnections(t *testing.T) {
	rng := seeded(t)
	g := startGateway(t)
	d := openDesk(t, g)
	base := g.usage(t)
	var (
		honest sync.WaitGroup
		done   = make(chan struct{})
		rounds [2]int
	)
	for i, via := range []transport{viaClient, viaDealer} {
		honest.Go(func() {
			var err error
			if rounds[i], err = neighbour(d, via, done); err != nil {
				t.Errorf("honest flow via %s: %v", via, err)
			}
		})
	}
	total := scaled(30_000, 500)
	seed := rng.Uint64()
	held := make(chan *net.TCPConn, maxHeld)
	inParallel(total, 8, func(i int) {
		if err := attack(g, i, rand.New(rand.NewPCG(seed, uint64(i))), held); err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
	})
	for range len(held) {
		_ = (<-held).Close()
	}
	time.Sleep(10 * time.Second) // for what the gateway's heartbeats may make of it
	close(done)
	honest.Wait()
	u := settled(t, g, base.descriptors)
	for _, via := range transports {
		if _, err := freshFlow(g, via); err != nil {
			t.Errorf("a fresh flow via %s: %v", via, err)
		}
	}
	report(t, "30,000; honest flows never fail", "%d connections of %d kinds; honest messages meanwhile %v; descriptors %d, then %d; RSS %s, then %s (peak %s)",
		total, len(hostilities), rounds, base.descriptors, u.descriptors, mib(base.rss), mib(u.rss), mib(u.peak))
	if u.descriptors > base.descriptors {
		t.Errorf("descriptors went from %d to %d", base.descriptors, u.descriptors)
	}
}

// attack makes one connection. It fails only where none could be made.
func attack(g *gateway, i int, rng *rand.Rand, held chan *net.TCPConn) error {
	return attackWith(g, hostilities[i%len(hostilities)], i, rng, held)
}

// attackWith is attack with that. Of the connections that are left open, held has the
// latest ones.
func attackWith(g *gateway, h hostility, i int, rng *rand.Rand, held chan *net.TCPConn) error {
	via := []transport{viaClient, viaDealer}[rng.IntN(2)]
	c, err := rawDial(g.addresses[via], i)
	if err != nil {
		return fmt.Errorf("%s: %w", h.name, err)
	}
	_ = c.SetLinger(0) // so that no port is kept
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_ = h.act(c, rng)
	if rng.IntN(4) == 0 {
		_ = c.SetReadDeadline(time.Now().Add(2 * time.Millisecond))
		_, _ = c.Read(make([]byte, 1000))
	}
	if !h.hold {
		return c.Close()
	}
	for {
		select {
		case held <- c:
			return nil
		default: // the oldest goes
			select {
			case old := <-held:
				_ = old.Close()
			default:
			}
		}
	}
}
