//go:build soak

package soak

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// patientFlags keep a gateway from ending the flows of those that do not read:
// what a stalled taker costs is to be seen for longer than it would be borne.
var patientFlags = []string{"--heartbeat=10m", "--heartbeat-timeout=10m", "--stall-timeout=10m"}

// TestStalledTaker has one taker of fifty flows not read: the others keep their
// rate, and memory is flat. The rate is compared with that of a second gateway
// with the same load at the same time, as this machine has others to serve.
func TestStalledTaker(t *testing.T) {
	g, control := startGateway(t, patientFlags...), startGateway(t, patientFlags...)
	d := openDesk(t, g)
	var (
		moved [2]atomic.Int64
		done  = make(chan struct{})
		wait  sync.WaitGroup
	)
	for i, desk := range []*desk{d, openDesk(t, control)} {
		for n := range 49 {
			if err := bustle(desk, transports[n%3], transports[n/3%3], &moved[i], done, &wait); err != nil {
				t.Fatal(err)
			}
		}
	}
	window := lasting(30*time.Second, 3*time.Second)
	time.Sleep(window / 10) // warm up
	before := rates(&moved, window)
	stop, err := stalledFlow(d)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // until it stands
	m := watchMemory(g, 100*time.Millisecond)
	during := rates(&moved, window)
	rss := m.stop()
	stop()
	close(done)
	wait.Wait()

	kept := during[0] / during[1] * before[1] / before[0]
	half := len(rss) / 2
	first, second := mean(rss[:half]), mean(rss[half:])
	report(t, "others keep ≥ 90 % of their rate", "%.0f %%: %.0f/s (control %.0f/s) before, %.0f/s (control %.0f/s) for %v with the stalled one",
		100*kept, before[0], before[1], during[0], during[1], window)
	report(t, "memory flat", "RSS %s in the first half, %s in the second", mib(first), mib(second))
	if kept < 0.9 {
		t.Errorf("the others kept %.0f %% of their rate", 100*kept)
	}
	if second > first+first/10 {
		t.Errorf("memory grows: %s, then %s", mib(first), mib(second))
	}
}

// rates is how fast two counters move, over that time.
func rates(moved *[2]atomic.Int64, window time.Duration) (rates [2]float64) {
	before := [2]int64{moved[0].Load(), moved[1].Load()}
	time.Sleep(window)
	for i := range rates {
		rates[i] = float64(moved[i].Load()-before[i]) / window.Seconds()
	}
	return rates
}

// bustle moves data between two peers until done, and counts.
func bustle(d *desk, client, handler transport, moved *atomic.Int64, done <-chan struct{}, wait *sync.WaitGroup) error {
	c, err := dial(client, d.gateway.addresses[client])
	if err != nil {
		return err
	}
	h, err := dial(handler, d.gateway.addresses[handler])
	if err != nil {
		return err
	}
	giver, taker, err := d.join(c, h, true, 20)
	if err != nil {
		return err
	}
	for _, s := range []*side{giver, taker} {
		wait.Go(func() {
			defer s.close()
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := s.step(1000, 100*time.Millisecond); err != nil && !isTimeout(err) {
					return // its partner was done first
				}
				if !s.gives {
					moved.Add(1)
				}
			}
		})
	}
	return nil
}

// stalledFlow is one whose taker pays for 100 messages of 1 MiB and never reads.
func stalledFlow(d *desk) (stop func(), err error) {
	g := d.gateway
	c, err := dial(viaClient, g.addresses[viaClient])
	if err != nil {
		return nil, err
	}
	h, err := dialWire(viaClient, g.addresses[viaClient], 0)
	if err != nil {
		return nil, err
	}
	giver, taker, err := d.join(c, h, true, 100)
	if err != nil {
		return nil, err
	}
	if err := taker.send(payMessage(taker.held)); err != nil {
		return nil, err
	}
	for giver.count < 100 {
		if err := giver.give(1<<20, patience); err != nil {
			return nil, fmt.Errorf("after %d messages: %w", giver.count, err)
		}
	}
	return func() { h.close(); c.close() }, nil
}
