//go:build soak

package soak

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestMemoryBound has fifty givers offer far more than the gateway may hold to
// takers that pay and do not read.
func TestMemoryBound(t *testing.T) {
	for _, via := range transports {
		t.Run(string(via), func(t *testing.T) { testMemoryBound(t, via) })
	}
}

// overhead is what the gateway may need besides what waits in it.
const overhead = 256 << 20

func testMemoryBound(t *testing.T, via transport) {
	const flows = 50
	limit, size := int64(scaled(1<<30, 64<<20)), scaled(maxMessage, 1<<20)
	g := startGateway(t, append(patientFlags, "--max-bytes="+itoa(limit), "--max-message="+itoa(int64(size)))...)
	d := openDesk(t, g)
	var (
		given   atomic.Int64
		wait    sync.WaitGroup
		payload = fill(nil, 0, 0, size)
	)
	base := g.usage(t)
	var givers, takers []*side // all before any moves: a full gateway takes no more
	for range flows {
		giver, taker, err := d.joinBare(via)
		if err != nil {
			t.Fatal(err)
		}
		givers, takers = append(givers, giver), append(takers, taker)
	}
	for i, giver := range givers {
		if err := takers[i].send(payMessage(takers[i].held)); err != nil {
			t.Fatal(err)
		}
		wait.Go(func() { giver.pour(payload, &given) })
	}
	waitUntilStill(t, g, &given)
	u := g.usage(t)
	for _, s := range append(givers, takers...) {
		s.close()
	}
	wait.Wait()
	held := limit + flows*int64(size)
	report(t, "max-bytes + a message per flow + overhead",
		"peak RSS %s; --max-bytes %s and %d flows of %s messages at credit 100 make %s, so overhead %s (base %s; %d messages given)",
		mib(u.peak), mib(limit), flows, mib(int64(size)), mib(held), mib(u.peak-held), mib(base.rss), given.Load())
	if most := held + overhead; u.peak > most {
		t.Errorf("peak RSS is %s, want at most %s", mib(u.peak), mib(most))
	}
	if u.peak < limit/2 {
		t.Errorf("peak RSS is only %s: this shows nothing", mib(u.peak))
	}
}

// waitUntilStill returns when the gateway takes in nothing more: a large message
// takes a while, in which only its memory tells.
func waitUntilStill(t *testing.T, g *gateway, given *atomic.Int64) {
	t.Helper()
	const still = 16 << 20
	var before, rss int64
	for calm := 0; calm < 4; {
		time.Sleep(time.Second)
		u := g.usage(t)
		calm++
		if before != given.Load() || u.rss > rss+still {
			calm = 0
		}
		before, rss = given.Load(), u.rss
	}
}

// joinBare opens a flow of credit 100 between peers that read only when told to.
func (d *desk) joinBare(via transport) (giver, taker *side, err error) {
	var ends [2]peer
	for i := range ends {
		if via == viaGRPC {
			ends[i], err = dialBareStream(d.gateway.addresses[via])
		} else {
			ends[i], err = dialBare(via, d.gateway.addresses[via], i)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return d.join(ends[0], ends[1], true, 100)
}

// pour gives the same bytes again and again, until the flow ends.
func (s *side) pour(payload []byte, given *atomic.Int64) {
	for {
		m, err := s.recv(patience)
		if isTimeout(err) {
			continue
		}
		if err != nil || m.Credit == 0 {
			return
		}
		for range m.Credit {
			if s.send(datMessage(payload)) != nil {
				return
			}
			given.Add(1)
		}
	}
}
