package main

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// measurement is a run that writes down what it measures.
type measurement struct {
	plan     plan
	programs *programs
	record   *recorder
	progress io.Writer
}

func (m *measurement) run() error {
	groups := make([][]load, 0, len(m.plan.rates)+1)
	for _, l := range m.plan.rates {
		groups = append(groups, []load{l})
	}
	var together []load
	for _, n := range m.plan.flows {
		together = append(together, load{flows: n, rounds: 1, size: flowsSize, credit: flowsCredit})
	}
	for _, group := range append(groups, together) {
		if err := m.rates(group); err != nil {
			return err
		}
	}
	for _, size := range m.plan.roundTrips {
		if err := m.rates([]load{at(size, 1)}); err != nil {
			return err
		}
	}
	for _, n := range m.plan.openings {
		if err := m.openings(n); err != nil {
			return err
		}
	}
	for _, n := range m.plan.idle {
		if err := m.idle(n); err != nil {
			return err
		}
	}
	return nil
}

func (m *measurement) say(format string, arguments ...any) {
	_, _ = fmt.Fprintf(m.progress, format+"\n", arguments...) // nothing depends on it
}

// with runs something with relays of its own.
func (m *measurement) with(do func(*setUp) error) error {
	s, err := startAll(m.programs)
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.stop())
}

// rates measures loads in the same rounds, on every path.
func (m *measurement) rates(group []load) error {
	return m.with(func(s *setUp) error {
		todo := make([]loads, len(group))
		for i, l := range group {
			m.say("rate: %d bytes, credit %d, %d flows", l.size, l.credit, l.flows)
			var err error
			if todo[i], err = s.calibrate(paths, l, m.plan.during); err != nil {
				return err
			}
		}
		for n := range m.plan.rounds {
			round := make([][]pairing, len(group))
			for i := range group {
				var err error
				if round[i], err = s.round(paths, todo[i], n); err != nil {
					return err
				}
			}
			if err := m.recordRates(round); err != nil {
				return err
			}
		}
		return nil
	})
}

// recordRates writes one round's rates down. The flows of ten are what those of
// other numbers are compared with.
func (m *measurement) recordRates(round [][]pairing) error {
	ten := map[path]pairing{}
	for _, pairings := range round {
		for _, p := range pairings {
			if p.gateway.load.flows == 10 {
				ten[p.path] = p
			}
		}
	}
	for _, pairings := range round {
		for _, p := range pairings {
			if err := m.record.rate(p, ten[p.path]); err != nil {
				return err
			}
		}
	}
	return nil
}

// openings measures how flows are opened and ended, so many at once.
func (m *measurement) openings(n int) error {
	m.say("opening and ending: %d at once", n)
	return m.with(func(s *setUp) error {
		do := loads{}
		for _, c := range contenders(paths) {
			l := load{flows: n, rounds: max(3, 50/n), size: 8, credit: idleCredit}
			o, err := s.trial(c, l)
			if err != nil {
				return err
			}
			l.rounds = max(l.rounds, int(o.openings()*m.plan.during.Seconds())/n)
			do[c] = l
		}
		for r := range m.plan.rounds {
			pairings, err := s.round(paths, do, r)
			if err != nil {
				return err
			}
			for _, p := range pairings {
				if err := m.record.opening(p); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// openings is how many flows were opened and ended in a second. The first of
// each peer was open before the time began.
func (o outcome) openings() float64 {
	return float64(o.load.flows*(o.load.rounds-1)) / o.elapsed.Seconds()
}

// idle measures flows that do nothing, between like peers. More than a relay can
// bear within the time limit of a trial is a result, too: it is written down as
// not measured.
func (m *measurement) idle(n int) error {
	for _, via := range []transport{native, viaGRPC} {
		flows := n
		if via == native {
			flows = min(n, mostNativeFlows())
		}
		m.say("idle: %d flows, %s", flows, via)
		for range m.plan.idleRounds {
			err := m.with(func(s *setUp) error { return m.idleRound(s, via, flows) })
			if errors.Is(err, context.DeadlineExceeded) {
				m.say("not measured: %v", err)
				m.record.notMeasured = append(m.record.notMeasured, fmt.Sprintf("%d idle flows, %s", flows, via))
				break
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *measurement) idleRound(s *setUp, via transport, flows int) error {
	l := load{flows: flows, rounds: 1, size: 8, credit: idleCredit}
	both := [2]idleCost{}
	for i, r := range []*relay{s.gateway, s.baselines[via]} {
		empty, err := r.usage()
		if err != nil {
			return err
		}
		o, err := s.run(r, path{via, via}, l, m.plan.idleFor)
		if err != nil {
			return fmt.Errorf("%d idle flows, %s: %w", flows, via, err)
		}
		both[i] = idleCost{
			bytes: float64(o.opened.rss-empty.rss) / float64(flows),
			cpu:   o.idle.Seconds() / m.plan.idleFor.Seconds() / float64(flows),
		}
	}
	return m.record.idle(path{via, via}, flows, both[0], both[1])
}

// idleCost is what one idle flow costs, both sides together.
type idleCost struct {
	bytes float64 // of RSS
	cpu   float64 // seconds in a second
}
