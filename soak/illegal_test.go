//go:build soak

package soak

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker/zio"
)

// TestIllegalSequences has a model of one side of a flow take some legal steps
// and then an illegal one, thousands of times, on every transport. The gateway
// answers as the model says, the same peer's next flow works, and a neighbour's
// flow notices nothing.
func TestIllegalSequences(t *testing.T) {
	rng := seeded(t)
	g := startGateway(t)
	d := openDesk(t, g)
	var (
		answers    tally
		neighbours sync.WaitGroup
		done       = make(chan struct{})
		rounds     [3]int
	)
	for i, via := range transports {
		neighbours.Go(func() {
			var err error
			if rounds[i], err = neighbour(d, via, done); err != nil {
				t.Errorf("neighbour via %s: %v", via, err)
			}
		})
	}
	total := scaled(10_000, 300)
	var workers sync.WaitGroup
	for i := range 6 {
		rng := rand.New(rand.NewPCG(rng.Uint64(), 0))
		workers.Go(func() {
			if err := misbehave(g, transports[i%3], rng, total/6+1, &answers); err != nil {
				t.Errorf("via %s: %v", transports[i%3], err)
			}
		})
	}
	workers.Wait()
	close(done)
	neighbours.Wait()
	report(t, "10,000 without panic, hang or effect on a neighbour", "%v; neighbours' messages meanwhile: %v, all right", &answers, rounds)
}

// neighbour moves checked data until done, and completes its flow.
func neighbour(d *desk, via transport, done <-chan struct{}) (rounds int, err error) {
	c, err := dial(via, d.gateway.addresses[via])
	if err != nil {
		return 0, err
	}
	defer c.close()
	h, err := dial(via, d.gateway.addresses[via])
	if err != nil {
		return 0, err
	}
	defer h.close()
	giver, taker, err := d.join(c, h, true, 10)
	if err != nil {
		return 0, err
	}
	for ; ; rounds++ {
		// The credit is paid as it is used up: neither waits for the other.
		if taker.held > 0 {
			if err := taker.send(payMessage(taker.held)); err != nil {
				return rounds, err
			}
			taker.held = 0
		}
		if err := errors.Join(giver.give(200, patience), taker.take(patience)); err != nil {
			return rounds, err
		}
		select {
		case <-done:
			if err := giver.send(eotMessage()); err != nil {
				return rounds, err
			}
			if err := taker.take(patience); reasonOf(err) != "EOT" {
				return rounds, err
			}
			return rounds, errors.Join(taker.send(eotMessage()), giver.untilEOT())
		case <-time.After(200 * time.Microsecond):
		}
	}
}

// untilEOT waits for the plain EOT that ends a flow in good order.
func (s *side) untilEOT() error {
	for {
		m, err := s.recv(patience)
		if err != nil {
			return err
		}
		if m.Type == zio.EOT {
			if err := m.over(); reasonOf(err) != "EOT" {
				return err
			}
			return nil
		}
	}
}

// misbehave runs sequences on one peer after the other; a native one keeps its
// connection for many.
func misbehave(g *gateway, via transport, rng *rand.Rand, total int, answers *tally) error {
	var p peer
	for n := range total {
		if n%50 == 0 {
			if p != nil {
				p.close()
			}
			var err error
			if p, err = dial(via, g.addresses[via]); err != nil {
				return err
			}
		}
		model := &model{peer: p, via: via, rng: rng}
		reason, err := model.run()
		if err != nil {
			return fmt.Errorf("sequence %d, %s: %w", n, strings.Join(model.said, " "), err)
		}
		answers.add(reason)
		if n%10 == 0 {
			if err := nextFlow(p); err != nil {
				return fmt.Errorf("next flow after sequence %d, %s: %w", n, strings.Join(model.said, " "), err)
			}
		}
	}
	p.close()
	return nil
}

// nextFlow shows that a peer that has misbehaved can begin anew (BRK-12).
func nextFlow(p peer) error {
	s := &side{peer: p, gives: true}
	if err := s.begin(3, 0, ""); err != nil {
		return err
	}
	for range 3 {
		if err := s.give(50, patience); err != nil {
			return err
		}
	}
	return s.finish(patience)
}
