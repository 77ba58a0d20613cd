//go:build soak

package soak

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestMixed runs all kinds of flows at once, for ten minutes, through a gateway
// with the race detector. One in eight is broken off by one of its sides.
func TestMixed(t *testing.T) {
	rng := seeded(t)
	binary, err := raceBinary()
	if err != nil {
		t.Fatal(err)
	}
	g := startBinary(t, binary, "--max-bytes=268435456")
	d := openDesk(t, g)
	var (
		count mixedCount
		wait  sync.WaitGroup
		until = time.Now().Add(lasting(10*time.Minute, 10*time.Second))
	)
	for worker := range 12 {
		rng := rand.New(rand.NewPCG(rng.Uint64(), uint64(worker)))
		wait.Go(func() {
			for n := 0; time.Now().Before(until); n++ {
				f := randomFlow(rng)
				if err := f.run(d, &count); err != nil {
					t.Errorf("worker %d, flow %d, %+v: %v", worker, n, f, err)
				}
			}
		})
	}
	wait.Wait()
	u := g.usage(t)
	if err := g.stop(); err != nil { // looks for reports of the race detector
		t.Error(err)
	}
	report(t, "0 races, 0 lost, doubled, reordered",
		"%v, %d messages, %s checked; gateway's peak RSS (with the race detector) %s",
		&count.ends, count.messages.Load(), mib(count.bytes.Load()), mib(u.peak))
}

// mixedFlow is one flow of the mixture.
type mixedFlow struct {
	client, handler transport
	clientGives     bool
	credit          int64
	count, size     int
	breakAt         int  // the DAT at which one side breaks off, or count for none
	clientBreaks    bool // which one
}

func randomFlow(rng *rand.Rand) mixedFlow {
	f := mixedFlow{
		client: transports[rng.IntN(3)], handler: transports[rng.IntN(3)],
		clientGives: rng.IntN(2) == 0, credit: int64(1 + rng.IntN(50)),
		count: 1 + rng.IntN(300), size: int(20 * math.Exp(rng.Float64()*9)), // to 160 kB
		clientBreaks: rng.IntN(2) == 0,
	}
	f.breakAt = f.count
	if rng.IntN(8) == 0 {
		f.breakAt = rng.IntN(f.count)
	}
	return f
}

type mixedCount struct {
	ends            tally
	messages, bytes atomic.Int64
}

// errBroken is how a side ends that breaks off itself.
var errBroken = errors.New("broke off")

func (f mixedFlow) run(d *desk, count *mixedCount) error {
	c, err := dial(f.client, d.gateway.addresses[f.client])
	if err != nil {
		return err
	}
	defer c.close()
	h, err := dial(f.handler, d.gateway.addresses[f.handler])
	if err != nil {
		return err
	}
	defer h.close()
	client, handler, err := d.join(c, h, f.clientGives, f.credit)
	if err != nil {
		return fmt.Errorf("opening: %w", err)
	}
	var (
		wait                  sync.WaitGroup
		clientEnd, handlerEnd error
	)
	wait.Go(func() { clientEnd = f.carry(client, f.clientBreaks) })
	wait.Go(func() { handlerEnd = f.carry(handler, !f.clientBreaks) })
	wait.Wait()
	taker := client
	if f.clientGives {
		taker = handler
	}
	count.messages.Add(int64(taker.count))
	count.bytes.Add(taker.bytes)
	return f.judge(clientEnd, handlerEnd, taker, count)
}

func (f mixedFlow) carry(s *side, breaks bool) error {
	if !breaks || f.breakAt == f.count {
		return s.carry(f.count, f.size, patience, func() {})
	}
	for int(s.count) < f.breakAt {
		if err := s.step(f.size, patience); err != nil {
			return err
		}
	}
	s.close()
	return errBroken
}

// judge compares how a flow has ended with how it should have.
func (f mixedFlow) judge(clientEnd, handlerEnd error, taker *side, count *mixedCount) error {
	if f.breakAt == f.count {
		if clientEnd != nil || handlerEnd != nil || int(taker.count) != f.count {
			return fmt.Errorf("%d of %d arrived; client %w, handler %w", taker.count, f.count, clientEnd, handlerEnd)
		}
		count.ends.add("completed")
		return nil
	}
	mine, others := clientEnd, handlerEnd
	if !f.clientBreaks {
		mine, others = others, mine
	}
	if !errors.Is(mine, errBroken) || others == nil || errors.Is(others, errWrong) || isTimeout(others) {
		return fmt.Errorf("broken off: %w; the other side: %w", mine, others)
	}
	count.ends.add("broken off: " + reasonOf(others))
	return nil
}
