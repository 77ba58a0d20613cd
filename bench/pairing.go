package main

import (
	"fmt"
	"slices"
	"time"
)

// pairing is the outcome of one path through the gateway, and of its baseline,
// from one round.
type pairing struct {
	path              path
	gateway, baseline outcome
}

// contender is one trial of a round: by the gateway on a path, or by a baseline.
type contender struct {
	path    path
	gateway bool
}

// contenders are those that the paths need. A path between unlike peers has the
// slower of both baselines.
func contenders(paths []path) (all []contender) {
	for _, via := range transports {
		if slices.ContainsFunc(paths, func(p path) bool { return p.giver == via || p.taker == via }) {
			all = append(all, contender{like(via), false})
		}
		for _, p := range paths {
			if p.giver == via {
				all = append(all, contender{p, true})
			}
		}
	}
	return all
}

// loads are what each contender does, if they do not all do the same.
type loads map[contender]load

// trial runs one contender.
func (s *setUp) trial(c contender, l load) (outcome, error) {
	o, err := s.run(s.of(c), c.path, l, 0)
	if err != nil {
		who := "baseline"
		if c.gateway {
			who = "gateway"
		}
		err = fmt.Errorf("%v by %s, %+v: %w", c.path, who, l, err)
	}
	return o, err
}

// round lets every contender run once, in turns so that what else the machine
// has to do hits all; every other round goes backwards.
func (s *setUp) round(paths []path, do loads, n int) ([]pairing, error) {
	order := contenders(paths)
	if n%2 == 1 {
		slices.Reverse(order)
	}
	outcomes := map[contender]outcome{}
	for _, c := range order {
		o, err := s.trial(c, do[c])
		if err != nil {
			return nil, err
		}
		outcomes[c] = o
	}
	pairings := make([]pairing, len(paths))
	for i, p := range paths {
		baseline := outcomes[contender{like(p.giver), false}]
		if other := outcomes[contender{like(p.taker), false}]; other.speed() < baseline.speed() {
			baseline = other
		}
		pairings[i] = pairing{p, outcomes[contender{p, true}], baseline}
	}
	return pairings, nil
}

// speed is what contenders are compared by.
func (o outcome) speed() float64 {
	if o.load.count == 0 {
		return o.openings()
	}
	return o.rate
}

// least is how many messages a flow of a trial has at least, if its group does not
// say.
const least = 20

// sample is how many bytes are relayed to find out how many to relay.
const sample = 16 << 20

// calibrate finds out how many messages each contender relays in that time. A
// path between like peers and its baseline get the same number. A flow has at
// least so many.
func (s *setUp) calibrate(paths []path, l load, least int, during time.Duration) (loads, error) {
	l.count = max(least, min(20*l.credit, sample/l.size)/l.flows)
	do := loads{}
	for _, c := range contenders(paths) {
		o, err := s.trial(c, l)
		if err != nil {
			return nil, err
		}
		scaled := l
		scaled.count = max(least, int(o.rate*during.Seconds())/l.flows)
		do[c] = scaled
	}
	for c, mine := range do {
		baseline := contender{c.path, false}
		if theirs, like := do[baseline]; like {
			mine.count = (mine.count + theirs.count) / 2
			do[c], do[baseline] = mine, mine
		}
	}
	return do, nil
}

// rate measures a load in rounds, after one to calibrate.
func (s *setUp) rate(paths []path, l load, rounds int, during time.Duration) (all []pairing, err error) {
	do, err := s.calibrate(paths, l, least, during)
	if err != nil {
		return nil, err
	}
	for n := range rounds {
		pairings, err := s.round(paths, do, n)
		if err != nil {
			return nil, err
		}
		all = append(all, pairings...)
	}
	return all, nil
}
