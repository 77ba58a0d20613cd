//go:build soak

package soak

import (
	"fmt"
	"testing"
	"time"
)

// TestChurn opens and ends thousands of flows, each on a connection of its own:
// afterwards the gateway holds what it held before.
func TestChurn(t *testing.T) {
	total := scaled(20_000, 600)
	fresh := startGateway(t)
	want, err := fresh.goroutines()
	if err != nil {
		t.Fatal(err)
	}
	g := startGateway(t)
	round := func(from, n int) {
		inParallel(n, 4, func(i int) {
			if err := briefFlow(g, from+i); err != nil {
				t.Errorf("flow %d: %v", from+i, err)
			}
		})
	}
	base := g.usage(t)
	round(0, total/4) // fills the pools and the list of ended flows
	warm := settled(t, g, base.descriptors)
	round(total/4, total-total/4)
	last := settled(t, g, base.descriptors)
	got, err := g.goroutines()
	if err != nil {
		t.Fatal(err)
	}
	report(t, "back to base", "after %d flows: descriptors %d, then %d; goroutines %d (fresh: %d); threads %d, then %d",
		total, base.descriptors, last.descriptors, got, want, base.threads, last.threads)
	report(t, "memory back to base", "RSS fresh %s, after %d flows %s, after %d flows %s",
		mib(base.rss), total/4, mib(warm.rss), total, mib(last.rss))
	if last.descriptors > base.descriptors+2 || got > want+2 {
		t.Errorf("descriptors went from %d to %d, goroutines from %d to %d", base.descriptors, last.descriptors, want, got)
	}
	if last.rss > warm.rss+warm.rss/4+8<<20 {
		t.Errorf("RSS went from %s to %s", mib(warm.rss), mib(last.rss))
	}
}

// settled waits until the gateway has closed what its peers have.
func settled(t *testing.T, g *gateway, descriptors int) usage {
	t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(patience); ; <-ticker.C {
		if u := g.usage(t); u.descriptors <= descriptors || time.Now().After(deadline) {
			return u
		}
	}
}

// briefFlow is connect, BOT, EOT: with the built-in handlers, alternately giving
// and taking, on the transports in turn.
func briefFlow(g *gateway, i int) error {
	via := transports[i%3]
	p, err := dialBare(via, g.addresses[via], i)
	if err != nil {
		return err
	}
	defer p.close()
	s := &side{peer: p, gives: i/3%2 == 0}
	if err := s.begin(10, 0, ""); err != nil {
		return err
	}
	if err := s.finish(patience); err != nil {
		return fmt.Errorf("via %s, gives %t: %w", via, s.gives, err)
	}
	return nil
}

// dialBare is dial without libzmq.
func dialBare(via transport, address string, from int) (peer, error) {
	if via == viaGRPC {
		return dialGRPC(address)
	}
	return dialWire(via, address, from)
}
