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
	for _, g := range m.plan.groups {
		if err := m.rates(g); err != nil {
			return err
		}
	}
	for _, some := range m.plan.idle {
		if err := m.idle(some); err != nil {
			return err
		}
	}
	for _, some := range m.plan.openings {
		if err := m.openings(some); err != nil {
			return err
		}
	}
	for _, c := range m.plan.beside {
		if err := m.besideLoad(c); err != nil {
			return err
		}
	}
	return nil
}

func (m *measurement) say(format string, arguments ...any) {
	_, _ = fmt.Fprintf(m.progress, format+"\n", arguments...) // nothing depends on it
}

// with runs something with relays of its own for some paths.
func (m *measurement) with(paths []path, do func(*setUp) error) error {
	s, err := start(m.programs, paths)
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.stop())
}

// rates measures loads in the same rounds.
func (m *measurement) rates(g group) error {
	return m.with(g.paths, func(s *setUp) error {
		todo := make([]loads, len(g.loads))
		for i, l := range g.loads {
			m.say("%s: %d bytes, credit %d, %d flows", g.part, l.size, l.credit, l.flows)
			var err error
			if todo[i], err = s.calibrate(g.paths, l, g.least, m.plan.during); err != nil {
				return err
			}
		}
		for n := range m.plan.rounds {
			round := make([][]pairing, len(g.loads))
			for i := range g.loads {
				var err error
				if round[i], err = s.round(g.paths, todo[i], n); err != nil {
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
func (m *measurement) openings(some several) error {
	m.say("%s: %d at once", some.part, some.flows)
	return m.with(some.paths, func(s *setUp) error {
		do := loads{}
		for _, c := range contenders(some.paths) {
			l := load{flows: some.flows, rounds: max(3, 50/some.flows), size: 8, credit: idleCredit}
			o, err := s.trial(c, l)
			if err != nil {
				return err
			}
			l.rounds = max(l.rounds, int(o.openings()*m.plan.during.Seconds())/some.flows)
			do[c] = l
		}
		for r := range m.plan.rounds {
			pairings, err := s.round(some.paths, do, r)
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
func (m *measurement) idle(some several) error {
	for _, p := range some.paths {
		flows := some.flows
		if p != like(viaGRPC) {
			flows = min(flows, mostNativeFlows())
		}
		m.say("%s: %d flows, %v", some.part, flows, p)
		for range m.plan.idleRounds {
			err := m.with([]path{p}, func(s *setUp) error { return m.idleRound(s, p, flows) })
			if errors.Is(err, context.DeadlineExceeded) {
				m.say("not measured: %v", err)
				m.record.notMeasured = append(m.record.notMeasured, fmt.Sprintf("%d idle flows, %v", flows, p))
				break
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *measurement) idleRound(s *setUp, p path, flows int) error {
	l := load{flows: flows, rounds: 1, size: 8, credit: idleCredit}
	both := [2]idleCost{}
	for i, c := range []contender{{p, true}, {p, false}} {
		r := s.of(c)
		empty, err := r.usage()
		if err != nil {
			return err
		}
		o, err := s.run(r, p, l, m.plan.idleFor)
		if err != nil {
			return fmt.Errorf("%d idle flows, %v: %w", flows, p, err)
		}
		both[i] = idleCost{
			bytes: float64(o.opened.rss-empty.rss) / float64(flows),
			cpu:   o.idle.Seconds() / m.plan.idleFor.Seconds() / float64(flows),
		}
	}
	return m.record.idle(p, flows, both[0], both[1])
}

// idleCost is what one idle flow costs, both sides together.
type idleCost struct {
	bytes float64 // of RSS
	cpu   float64 // seconds in a second
}
