package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// endless is more messages than a flow moves while anybody waits.
const endless = 1 << 30

// besideLoad measures the round trips of one flow while others move as much as
// they can, on the same relay.
func (m *measurement) besideLoad(c crowd) error {
	m.say("beside load: %v, %d bytes, %d other flows", c.path, c.size, c.others)
	for n := range m.plan.rounds {
		err := m.with([]path{c.path, like(raw)}, func(s *setUp) error {
			p := pairing{path: c.path}
			turns := []struct {
				by contender
				to *outcome
			}{{contender{c.path, true}, &p.gateway}, {contender{c.path, false}, &p.baseline}}
			if n%2 == 1 {
				turns[0], turns[1] = turns[1], turns[0]
			}
			for _, turn := range turns {
				var err error
				if *turn.to, err = s.beside(s.of(turn.by), c); err != nil {
					return err
				}
			}
			return m.record.beside(p, c.others)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// beside is one turn. The crowd is killed when the one flow is over.
func (s *setUp) beside(r *relay, c crowd) (o outcome, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), trialLimit)
	defer cancel()
	defer func() {
		if err != nil { // what a killed process failed at says little
			err = errors.Join(ctx.Err(), err)
		}
	}()
	all := load{flows: c.others, rounds: 1, count: endless, size: flowsSize, credit: flowsCredit}
	crowdGives, crowdTakes, err := s.open(ctx, r, like(raw), all)
	if err != nil {
		return o, err
	}
	defer crowdGives.end()
	defer crowdTakes.end()
	one := at(c.size, 1)
	one.count = c.trips
	giver, taker, err := s.open(ctx, r, c.path, one)
	if err != nil {
		return o, err
	}
	defer giver.end()
	defer taker.end()
	before, err := r.usage()
	if err != nil {
		return o, err
	}
	if _, err := io.WriteString(crowdGives.orders, "go\n"); err != nil {
		return o, err
	}
	if err := r.busySince(ctx, before.cpu); err != nil {
		return o, err
	}
	lines, err := finish(giver, taker)
	if err := errors.Join(err, crowdGives.running(), crowdTakes.running()); err != nil {
		return o, err
	}
	o.load = one
	return o, o.read(lines)
}

// underWay is how much of the processor a relay has used when a crowd is.
const underWay = 100 * time.Millisecond

// busySince waits until the process has used so much more than it had.
func (s *server) busySince(ctx context.Context, had time.Duration) error {
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		now, err := s.cpu()
		if err != nil || now-had >= underWay {
			return err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("the crowd does not move: %w", ctx.Err())
		}
	}
}
