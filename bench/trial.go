package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// load is what giver and taker do in a trial.
type load struct {
	flows, rounds int // at once, and one after the other
	count         int // of messages, in each flow
	size, credit  int
}

// total is how many messages there are.
func (l load) total() int { return l.flows * l.rounds * l.count }

// outcome is what came of a trial.
type outcome struct {
	load    load
	rate    float64         // messages in a second, in the middle eight tenths
	samples []time.Duration // see native/load.c
	elapsed time.Duration   // from the go to the last EOT
	cpu     time.Duration   // of the relay
	mallocs float64         // of the gateway, in all
	peak    int64           // of the relay's RSS, in bytes
	opened  usage           // of the relay when all flows were open
	idle    time.Duration   // CPU time of the relay while they waited
}

// trialLimit bounds a trial, which should take a second.
const trialLimit = 2 * time.Minute

// run relays a load. The flows wait for as long as idle between being opened
// and being used.
func (s *setUp) run(r *relay, p path, l load, idle time.Duration) (o outcome, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), trialLimit)
	defer cancel()
	defer func() {
		if err != nil { // what a killed process failed at says little
			err = errors.Join(ctx.Err(), err)
		}
	}()
	if err := r.resetPeak(); err != nil {
		return o, err
	}
	giver, taker, err := s.open(ctx, r, p, l)
	if err != nil {
		return o, err
	}
	defer giver.end()
	defer taker.end()
	if o.opened, err = r.usage(); err != nil {
		return o, err
	}
	time.Sleep(idle)
	before, err := r.usage()
	if err != nil {
		return o, err
	}
	o.idle = before.cpu - o.opened.cpu
	began := time.Now()
	lines, err := finish(giver, taker)
	if err != nil {
		return o, err
	}
	o.load, o.elapsed = l, time.Since(began)
	after, err := r.usage()
	if err != nil {
		return o, err
	}
	o.cpu, o.mallocs, o.peak = after.cpu-before.cpu, after.mallocs-before.mallocs, after.peak
	return o, o.read(lines)
}

// open starts giver and taker, and returns when all their flows are open.
func (s *setUp) open(ctx context.Context, r *relay, p path, l load) (giver, taker *peerProcess, err error) {
	if giver, taker, err = s.peers(ctx, r, p, l, l); err != nil {
		return nil, nil, err
	}
	if err := giver.expect("open"); err != nil {
		giver.end()
		taker.end()
		return nil, nil, err
	}
	return giver, taker, nil
}

// peers starts giver and taker, which open their flows.
func (s *setUp) peers(ctx context.Context, r *relay, p path, gives, takes load) (giver, taker *peerProcess, err error) {
	start := func(via transport, role string, l load) (*peerProcess, error) {
		address := r.addresses[via]
		if role == "give" && r.giversAt != nil {
			address = r.giversAt[via]
		}
		return startPeer(ctx, append(s.load(via), role, r.kind, address,
			strconv.Itoa(l.flows), strconv.Itoa(l.rounds), strconv.Itoa(l.count), strconv.Itoa(l.size), strconv.Itoa(l.credit)))
	}
	if giver, err = start(p.giver, "give", gives); err != nil {
		return nil, nil, err
	}
	if r.desk != nil { // before the taker is there, nothing is offered
		err = r.desk.serve(giver.orders)
	}
	if err == nil {
		taker, err = start(p.taker, "take", takes)
	}
	if err != nil {
		giver.end()
	}
	return giver, taker, err
}

// finish has the giver give, and answers the taker's report when both are done.
func finish(giver, taker *peerProcess) ([]string, error) {
	if _, err := io.WriteString(giver.orders, "go\n"); err != nil {
		return nil, err
	}
	lines, err := taker.rest()
	if err != nil {
		return nil, err
	}
	_, err = giver.rest()
	return lines, err
}

// read reads a taker's report.
func (o *outcome) read(lines []string) error {
	if len(lines) == 0 {
		return errors.New("the taker has reported nothing")
	}
	var messages, nanoseconds int64
	if _, err := fmt.Sscan(lines[0], &messages, &nanoseconds); err != nil {
		return fmt.Errorf("taker's report %q: %w", lines[0], err)
	}
	if messages > 0 {
		o.rate = float64(messages) / time.Duration(nanoseconds).Seconds()
	}
	for _, line := range lines[1:] {
		n, err := strconv.ParseInt(line, 10, 64)
		if err != nil {
			return fmt.Errorf("taker's sample: %w", err)
		}
		o.samples = append(o.samples, time.Duration(n))
	}
	return nil
}

// perMessage is an amount's share of one message.
func (o outcome) perMessage(amount float64) float64 { return amount / float64(o.load.total()) }
