//go:build soak

package soak

import (
	"encoding/binary"
	"testing"
	"time"
)

// abuse is something bad to do to the gRPC port, so many times in a second. An
// error means that the gateway has hung up, which is its right.
type abuse struct {
	name      string
	perSecond int
	act       func(*h2) error
}

var abuses = []abuse{
	{"stream resets", 1000, func(h *h2) error {
		id, err := h.open(0)
		if err != nil {
			return err
		}
		return h.reset(id)
	}},
	{"thousands of streams", 500, func(h *h2) error {
		_, err := h.open(0)
		return err
	}},
	{"giant headers", 10, func(h *h2) error {
		_, err := h.open(256 << 10)
		return err
	}},
	{"giant messages", 50, func(h *h2) error {
		id, err := h.open(0)
		if err != nil {
			return err
		}
		return h.data(id, binary.BigEndian.AppendUint32([]byte{0}, 1<<30))
	}},
	{"stalled messages", 50, func(h *h2) error {
		id, err := h.open(0)
		if err != nil {
			return err
		}
		return h.data(id, append(binary.BigEndian.AppendUint32([]byte{0}, 60<<20), make([]byte, 8<<10)...))
	}},
	{"garbage messages", 200, func(h *h2) error {
		id, err := h.open(0)
		if err != nil {
			return err
		}
		return h.data(id, []byte{0, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff})
	}},
}

// abuseMemory is what abuse may cost.
const abuseMemory = 256 << 20

// TestGRPCAbuse has abusers at work while an honest client opens one flow after
// the other: memory is bounded, and the honest flows hardly notice. Times with
// and without abuse are taken in turns, as this machine has others to serve.
func TestGRPCAbuse(t *testing.T) {
	for _, a := range abuses {
		t.Run(a.name, func(t *testing.T) {
			g := startGateway(t)
			var with, without sample
			base := g.usage(t)
			acts, cuts := 0, 0
			for turn := range scaled(20, 4) {
				if turn%2 == 0 {
					honestFlows(t, g, time.Second, &without)
					continue
				}
				stop := make(chan struct{})
				stopped := make(chan [2]int)
				go func() { stopped <- a.run(g, stop) }()
				honestFlows(t, g, time.Second, &with)
				close(stop)
				n := <-stopped
				acts, cuts = acts+n[0], cuts+n[1]
			}
			u := g.usage(t)
			ratio := float64(with.quantile(0.99)) / float64(without.quantile(0.99))
			report(t, "bounded memory, honest p99 below twice normal", "%d at %d/s, cut off %d times: RSS %s, peak %s; p99 of a flow %.2f times: %v; without: %v",
				acts, a.perSecond, cuts, mib(base.rss), mib(u.peak), ratio, &with, &without)
			if ratio > 2 {
				t.Errorf("p99 is %.2f times the normal one", ratio)
			}
			if u.peak > base.rss+abuseMemory {
				t.Errorf("RSS went from %s to %s", mib(base.rss), mib(u.peak))
			}
		})
	}
}

// run abuses until stop; it answers how often, and how often it was cut off.
func (a abuse) run(g *gateway, stop <-chan struct{}) (count [2]int) {
	ticker := time.NewTicker(time.Second / time.Duration(a.perSecond))
	defer ticker.Stop()
	var h *h2
	for n := 0; ; n++ {
		select {
		case <-stop:
			if h != nil {
				h.close()
			}
			return count
		case <-ticker.C:
		}
		if h == nil {
			var err error
			if h, err = dialH2(g.addresses[viaGRPC], n); err != nil {
				continue
			}
		}
		count[0]++
		if a.act(h) != nil {
			count[1]++
			h.close()
			h = nil
		}
	}
}

// honestFlows opens one flow after the other on one connection.
func honestFlows(t *testing.T, g *gateway, during time.Duration, took *sample) {
	t.Helper()
	p, err := dialGRPC(g.addresses[viaGRPC])
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	for until := time.Now().Add(during); time.Now().Before(until); {
		began := time.Now()
		if err := nextFlow(p); err != nil {
			t.Fatalf("honest flow: %v", err)
		}
		took.add(time.Since(began))
		time.Sleep(time.Millisecond)
	}
}
