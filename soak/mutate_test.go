//go:build soak

package soak

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker/zio"
)

// recording is what a real peer has sent to the gateway, from its greeting on.
type recording struct {
	via transport
	mu  sync.Mutex
	b   []byte // guarded by mu
}

// record has a peer of libzmq's speak to the gateway through a relay that listens in.
func record(g *gateway, via transport, speak func(peer) error) (*recording, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer func() { _ = l.Close() }()
	r := &recording{via: via}
	relayed := make(chan error, 1)
	go func() { relayed <- r.relay(l, g.addresses[via]) }()
	p, err := dial(via, "tcp://"+l.Addr().String())
	if err != nil {
		return nil, err
	}
	err = speak(p)
	p.close()
	return r, errors.Join(err, <-relayed)
}

// relay passes one connection on.
func (r *recording) relay(l net.Listener, address string) error {
	near, err := l.Accept()
	if err != nil {
		return err
	}
	defer func() { _ = near.Close() }()
	far, err := net.Dial("tcp", strings.TrimPrefix(address, "tcp://"))
	if err != nil {
		return err
	}
	var wait sync.WaitGroup
	wait.Go(func() { _, _ = io.Copy(near, far) })
	_, _ = io.Copy(io.MultiWriter(far, r), near)
	_ = far.Close()
	wait.Wait()
	return nil
}

func (r *recording) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.b = append(r.b, b...)
	return len(b), nil
}

// wireHandshake is how many bytes a peer sends up to its first message: greeting and
// READY of libzmq's.
const wireHandshake = 64

// mutate changes a stream in one or more places. Mostly the greeting is left alone: what
// lies behind it would not be seen.
func mutate(rng *rand.Rand, b, other []byte) []byte {
	b = bytes.Clone(b)
	from := wireHandshake
	if rng.IntN(20) == 0 {
		from = 0
	}
	for range 1 + rng.IntN(4) {
		if len(b) <= from+1 {
			return b
		}
		at := from + rng.IntN(len(b)-from)
		n := min(1+rng.IntN(1<<rng.IntN(12)), len(b)-at)
		switch rng.IntN(8) {
		case 0: // a bit
			b[at] ^= 1 << rng.IntN(8)
		case 1: // a byte that means something
			b[at] = []byte{0, 1, 2, 3, 4, 6, 7, 0x7f, 0x80, 0xff}[rng.IntN(10)]
		case 2:
			b = append(b[:at], b[at+n:]...)
		case 3: // twice
			b = append(b[:at+n], append(bytes.Clone(b[at:at+n]), b[at+n:]...)...)
		case 4:
			b = append(b[:at], append(noise(rng, 100), b[at:]...)...)
		case 5: // cut off
			b = b[:at]
		case 6: // goes on as another stream does
			if behind := len(other) - wireHandshake; behind > 0 {
				b = append(b[:at], other[wireHandshake+rng.IntN(behind):]...)
			}
		case 7: // a length of eight bytes
			b = append(b[:at], append(wireHead(byte(rng.IntN(2)), 256+rng.IntN(1<<rng.IntN(40))), b[at:]...)...)
		}
	}
	return b
}

// utter sends a stream in any pieces, and then leaves in one way or another.
func utter(g *gateway, via transport, b []byte, i int, rng *rand.Rand) error {
	c, err := rawDial(g.addresses[via], i)
	if err != nil {
		return err
	}
	_ = c.SetLinger(0)
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	for len(b) > 0 {
		n := min(len(b), 1+rng.IntN(1<<rng.IntN(16)))
		if _, err := c.Write(b[:n]); err != nil {
			return nil //nolint:nilerr // the gateway may hang up at any time
		}
		b = b[n:]
	}
	if rng.IntN(3) == 0 { // hears what it is told, and may be asked for life
		_ = c.SetReadDeadline(time.Now().Add(time.Duration(rng.IntN(200)) * time.Millisecond))
		_, _ = io.Copy(io.Discard, c)
	}
	if rng.IntN(3) == 0 {
		_ = c.CloseWrite()
	}
	return nil
}

// TestMutatedTraffic has what real peers have sent come again, changed, on both ports
// for ten minutes; honest flows beside it notice nothing, and nothing is left.
func TestMutatedTraffic(t *testing.T) {
	rng := seeded(t)
	g := startGateway(t)
	d := openDesk(t, g)
	var recordings []*recording
	for _, via := range []transport{viaClient, viaDealer} {
		for _, gives := range []bool{true, false} {
			r, err := record(g, via, func(p peer) error { return recordedFlow(p, gives) })
			if err != nil {
				t.Fatal(err)
			}
			if len(r.b) < wireHandshake+100 {
				t.Fatalf("only %d bytes were recorded", len(r.b))
			}
			recordings = append(recordings, r)
		}
	}
	base := g.usage(t)
	var (
		honest sync.WaitGroup
		done   = make(chan struct{})
		rounds [3]int
	)
	for i, via := range transports {
		honest.Go(func() {
			var err error
			if rounds[i], err = neighbour(d, via, done); err != nil {
				t.Errorf("honest flow via %s: %v", via, err)
			}
		})
	}
	var sent atomic.Int64
	var workers sync.WaitGroup
	until := time.Now().Add(lasting(10*time.Minute, 5*time.Second))
	for w := range 6 {
		rng := rand.New(rand.NewPCG(rng.Uint64(), uint64(w)))
		workers.Go(func() {
			for time.Now().Before(until) {
				r, other := recordings[rng.IntN(len(recordings))], recordings[rng.IntN(len(recordings))]
				if err := utter(g, r.via, mutate(rng, r.b, other.b), int(sent.Add(1)), rng); err != nil {
					t.Errorf("connection %d: %v", sent.Load(), err)
					return
				}
			}
		})
	}
	workers.Wait()
	close(done)
	honest.Wait()
	u := settled(t, g, base.descriptors)
	for _, via := range transports {
		if _, err := freshFlow(g, via); err != nil {
			t.Errorf("a fresh flow via %s: %v", via, err)
		}
	}
	report(t, "honest flows never fail, nothing is left, RSS ≤ base + 64 MiB",
		"%d streams; honest messages meanwhile %v; descriptors %d, then %d; RSS %s, then %s (peak %s)",
		sent.Load(), rounds, base.descriptors, u.descriptors, mib(base.rss), mib(u.rss), mib(u.peak))
	if u.descriptors > base.descriptors {
		t.Errorf("descriptors went from %d to %d", base.descriptors, u.descriptors)
	}
	if u.peak > base.rss+floodMemory {
		t.Errorf("RSS went from %s to %s", mib(base.rss), mib(u.peak))
	}
}

// recordedFlow is a flow with a built-in handler, with messages small and large.
func recordedFlow(p peer, gives bool) error {
	s := &side{peer: p, gives: gives}
	attributes := `,"builtin":"dump"`
	if !gives {
		attributes = `,"builtin":"generate","count":5,"size":50000`
	}
	if err := s.begin(3, 0, attributes); err != nil {
		return err
	}
	if gives {
		for _, size := range []int{100, 5000, 40_000, 200, 70_000} {
			if err := s.give(size, patience); err != nil {
				return err
			}
		}
		return s.finish(patience)
	}
	for {
		if s.held > 0 {
			if err := s.send(payMessage(s.held)); err != nil {
				return err
			}
			s.held = 0
		}
		m, err := s.recv(patience)
		switch {
		case err != nil:
			return err
		case m.end.Reason != "":
			return m.over()
		case m.Type == zio.EOT:
			return s.send(eotMessage())
		}
		s.held++
	}
}
