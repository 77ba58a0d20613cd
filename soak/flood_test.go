//go:build soak

package soak

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker/zio"
)

// floods are hostilities behind a handshake that is well-formed.
var floods = []hostility{
	{"tiny messages", func(c *net.TCPConn, rng *rand.Rand) error {
		return afterHandshake(c, rng, bytes.Repeat([]byte{0, 1, 'x'}, 20_000))
	}, false},
	{"messages of no bytes", func(c *net.TCPConn, rng *rand.Rand) error {
		return afterHandshake(c, rng, bytes.Repeat([]byte{0, 0}, 20_000))
	}, false},
	{"empty parts", func(c *net.TCPConn, rng *rand.Rand) error {
		return afterHandshake(c, rng, bytes.Repeat([]byte{wireMore, 0}, 70_000))
	}, true},
	{"unfinished messages", func(c *net.TCPConn, rng *rand.Rand) error {
		part := append(wireHead(wireMore, 1000), make([]byte, 1000)...)
		return afterHandshake(c, rng, bytes.Repeat(part, 1+rng.IntN(60)))
	}, true},
	{"PINGs", func(c *net.TCPConn, rng *rand.Rand) error {
		return afterHandshake(c, rng, bytes.Repeat([]byte("\x04\x08\x04PING\x00\x00x"), 10_000))
	}, true},
	{"PINGs with a short TTL", func(c *net.TCPConn, rng *rand.Rand) error {
		return afterHandshake(c, rng, []byte("\x04\x07\x04PING\x00\x01"))
	}, true},
	{"one name", func(c *net.TCPConn, rng *rand.Rand) error {
		ready := append([]byte("\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00"), 4)
		ready = append(ready, []string{"twin", "\x00abc"}[rng.IntN(2)]...)
		return write(c, wireGreeting, []byte{wireCommand, byte(len(ready))}, ready, noise(rng, 50))
	}, true},
	{"BOTs without end", func(c *net.TCPConn, rng *rand.Rand) error {
		return afterHandshake(c, rng, bytes.Repeat(wireBot("no handler's"), 200))
	}, false},
	{"a flow that nobody reads", func(c *net.TCPConn, rng *rand.Rand) error {
		m := payMessage(5).AppendEncoded(nil)
		return write(c, wireGreeting, wireReady("CLIENT"), wireBot(`generate","count":1000,"size":10000,"x":"`), wireHead(0, len(m)), m)
	}, true},
	{"too large", func(c *net.TCPConn, rng *rand.Rand) error {
		return afterHandshake(c, rng, wireHead(0, 70<<20), noise(rng, 5000))
	}, true},
}

// wireBot is a BOT as a CLIENT sends it: what a DEALER sends in its place is no message.
func wireBot(builtin string) []byte {
	m := botMessage(zio.Inject, 5, 0, fmt.Sprintf(`,"builtin":"%s"`, builtin))
	b := m.AppendEncoded(nil)
	return append(wireHead(0, len(b)), b...)
}

// floodMemory is what hostile connections may cost.
const floodMemory = 64 << 20

// TestFloods has floods of well-formed traffic come over tens of thousands of
// connections, four hundred of them in a second: what that costs is bounded, in memory, in
// lines of the log and in an honest flow's time. That is compared with its time while
// the same floods come to another gateway: this machine has the flooders to serve, too.
func TestFloods(t *testing.T) {
	rng := seeded(t)
	g, control := startGateway(t), startGateway(t)
	d := openDesk(t, g)
	base := g.usage(t)
	all := append(append([]hostility{}, floods...), hostilities...)
	total, turns := scaled(30_000, 1500), scaled(20, 4)
	var with, without sample
	began, seed := time.Now(), rng.Uint64()
	made, refused := 0, 0
	for turn := range turns {
		target, took := g, &with
		if turn%2 == 1 {
			target, took = control, &without
		}
		stop, stopped := make(chan struct{}), make(chan error, 1)
		go func() { stopped <- timed(d, viaClient, stop, took) }()
		n, failed := flood(target, all, 2*total/turns, seed+uint64(turn))
		close(stop)
		if err := <-stopped; err != nil {
			t.Fatalf("honest flow, turn %d: %v", turn, err)
		}
		if target == g {
			made, refused = made+n, refused+failed
		}
	}
	u := settled(t, g, base.descriptors)
	ratio := float64(with.quantile(0.99)) / float64(without.quantile(0.99))
	lines := countLines(t, g.log)
	report(t, "RSS ≤ base + 64 MiB, honest p99 below twice normal, no line beyond the sampler",
		"%d connections of %d kinds, %d refused; RSS %s, peak %s, then %s; p99 %.2f times: %v; without: %v; %d lines, %v",
		made, len(all), refused, mib(base.rss), mib(u.peak), mib(u.rss), ratio, &with, &without, lines.total, lines.most)
	if u.peak > base.rss+floodMemory {
		t.Errorf("RSS went from %s to %s", mib(base.rss), mib(u.peak))
	}
	if ratio > 2 {
		t.Errorf("an honest flow's p99 is %.2f times the normal one", ratio)
	}
	// A sampler lets 5,000 lines of a kind through at once, and 1,000 a second.
	if bound := 5000 + 1000*int(time.Since(began).Seconds()+1); lines.highest > bound {
		t.Errorf("%v lines were logged, want at most %d of a kind", lines.most, bound)
	}
	for _, via := range transports {
		if _, err := freshFlow(g, via); err != nil {
			t.Errorf("a fresh flow via %s: %v", via, err)
		}
	}
}

// flood makes so many connections, of all kinds in turn, four hundred in a second: on
// two processors more would keep the machine busy, whatever the gateway does.
func flood(g *gateway, kinds []hostility, n int, seed uint64) (made, failed int) {
	held := make(chan *net.TCPConn, maxHeld)
	pace := time.NewTicker(time.Second / 400)
	defer pace.Stop()
	var (
		mu   sync.Mutex
		wait sync.WaitGroup
	)
	slots := make(chan struct{}, 50)
	for i := range n {
		<-pace.C
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			err := attackWith(g, kinds[i%len(kinds)], i, rand.New(rand.NewPCG(seed, uint64(i))), held)
			mu.Lock()
			defer mu.Unlock()
			made++
			if err != nil {
				failed++
			}
		})
	}
	wait.Wait()
	for range len(held) {
		_ = (<-held).Close()
	}
	return made, failed
}

// timed moves one message after the other through a flow of its own until stop, and
// takes the time of each.
func timed(d *desk, via transport, stop <-chan struct{}, took *sample) error {
	c, err := dial(via, d.gateway.addresses[via])
	if err != nil {
		return err
	}
	defer c.close()
	h, err := dial(via, d.gateway.addresses[via])
	if err != nil {
		return err
	}
	defer h.close()
	giver, taker, err := d.join(c, h, true, 10)
	if err != nil {
		return err
	}
	for {
		select {
		case <-stop:
			return nil
		case <-time.After(time.Millisecond):
		}
		began := time.Now()
		if taker.held > 0 {
			if err := taker.send(payMessage(taker.held)); err != nil {
				return err
			}
			taker.held = 0
		}
		if err := giver.give(200, patience); err != nil {
			return err
		}
		if err := taker.take(patience); err != nil {
			return err
		}
		took.add(time.Since(began))
	}
}

// lineCount is how many lines a log has, and of the kind of which there are most.
type lineCount struct {
	total, highest int
	most           string
}

var kindOfLine = regexp.MustCompile(`msg=("[^"]*"|\S+)|cause=(\S+)`)

func countLines(t *testing.T, path string) (n lineCount) {
	t.Helper()
	log, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for line := range strings.Lines(string(log)) {
		n.total++
		kinds[strings.Join(kindOfLine.FindAllString(line, -1), " ")]++
	}
	for kind, count := range kinds {
		if count > n.highest {
			n.highest, n.most = count, fmt.Sprintf("%d of %s", count, kind)
		}
	}
	return n
}

// TestResets has connections reset behind every byte of a handshake, of a BOT, and of a
// DAT to which one leads; by kinds of socket. Nothing is left of any.
func TestResets(t *testing.T) {
	g := startGateway(t)
	base := g.usage(t)
	rounds := scaled(5, 1)
	count := 0
	for _, via := range []transport{viaClient, viaDealer} {
		p := &wirePeer{dealer: via == viaDealer}
		words := bytes.Clone(wireGreeting)
		words = append(words, wireReady(string(via))...)
		var sink recorder
		p.conn = &sink
		for _, m := range []*zio.Message{botMessage(zio.Extract, 5, 0, `,"builtin":"dump"`), datMessage(make([]byte, 300))} {
			if err := p.send(m); err != nil {
				t.Fatal(err)
			}
		}
		words = append(words, sink.Bytes()...)
		inParallel(rounds*(len(words)+1), 8, func(i int) {
			if err := resetAfter(g, via, words[:i%(len(words)+1)], i); err != nil {
				t.Errorf("via %s, behind byte %d: %v", via, i%(len(words)+1), err)
			}
		})
		count += rounds * (len(words) + 1)
	}
	u := settled(t, g, base.descriptors)
	for _, via := range transports {
		if _, err := freshFlow(g, via); err != nil {
			t.Errorf("a fresh flow via %s: %v", via, err)
		}
	}
	report(t, "nothing is left", "%d resets; descriptors %d, then %d; RSS %s, peak %s", count, base.descriptors, u.descriptors, mib(base.rss), mib(u.peak))
	if u.descriptors > base.descriptors {
		t.Errorf("descriptors went from %d to %d", base.descriptors, u.descriptors)
	}
	if u.peak > base.rss+floodMemory {
		t.Errorf("RSS went from %s to %s", mib(base.rss), mib(u.peak))
	}
}

func resetAfter(g *gateway, via transport, words []byte, i int) error {
	c, err := rawDial(g.addresses[via], i)
	if err != nil {
		return err
	}
	_ = c.SetLinger(0)
	defer func() { _ = c.Close() }()
	// The handshake's words are taken one by one, so that the last ones come alone.
	head := max(0, len(words)-1)
	if _, err := c.Write(words[:head]); err != nil {
		return nil //nolint:nilerr // the gateway may hang up at any time
	}
	_, _ = c.Write(words[head:])
	return nil
}

// recorder is a connection that keeps what is written to it.
type recorder struct {
	net.Conn
	bytes.Buffer
}

func (r *recorder) Write(b []byte) (int, error) { return r.Buffer.Write(b) }
func (r *recorder) Read(b []byte) (int, error)  { return r.Buffer.Read(b) }
