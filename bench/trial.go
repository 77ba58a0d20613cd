package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// path is what giver and taker speak.
type path struct{ giver, taker transport }

func (p path) String() string { return string(p.giver) + "-" + string(p.taker) }

// paths are all there are.
var paths = []path{{native, native}, {viaGRPC, viaGRPC}, {native, viaGRPC}, {viaGRPC, native}}

// choose answers the paths of these names, all of them for none.
func choose(names []string) (chosen []path, err error) {
	for _, name := range names {
		i := slices.IndexFunc(paths, func(p path) bool { return p.String() == name })
		if i < 0 {
			return nil, fmt.Errorf("path %q: want one of %v", name, paths)
		}
		chosen = append(chosen, paths[i])
	}
	if len(chosen) == 0 {
		chosen = paths
	}
	return chosen, nil
}

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

// trialLimit bounds a trial; nothing but a failure takes that long.
const trialLimit = 3 * time.Minute

// run relays a load. The flows wait for as long as idle between being opened
// and being used.
func (s *setUp) run(r *relay, p path, l load, idle time.Duration) (o outcome, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), trialLimit)
	defer cancel()
	if err := r.resetPeak(); err != nil {
		return o, err
	}
	giver, err := s.peer(ctx, r, p.giver, "give", l)
	if err != nil {
		return o, err
	}
	if r.desk != nil {
		if err := r.desk.serve(giver.orders); err != nil {
			return o, err
		}
	}
	taker, err := s.peer(ctx, r, p.taker, "take", l)
	if err != nil {
		return o, err
	}
	if err := giver.expect("open"); err != nil {
		cancel() // so that Wait returns
		_, failed := taker.rest()
		return o, errors.Join(err, failed)
	}
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
	if _, err := io.WriteString(giver.orders, "go\n"); err != nil {
		return o, err
	}
	lines, err := taker.rest()
	if _, failed := giver.rest(); failed != nil || err != nil {
		return o, errors.Join(err, failed)
	}
	o.load, o.elapsed = l, time.Since(began)
	after, err := r.usage()
	if err != nil {
		return o, err
	}
	o.cpu, o.mallocs, o.peak = after.cpu-before.cpu, after.mallocs-before.mallocs, after.peak
	return o, o.read(lines)
}

func (s *setUp) peer(ctx context.Context, r *relay, via transport, role string, l load) (*peerProcess, error) {
	return startPeer(ctx, s.programs.loads[via], role, r.kind, r.addresses[via],
		strconv.Itoa(l.flows), strconv.Itoa(l.rounds), strconv.Itoa(l.count), strconv.Itoa(l.size), strconv.Itoa(l.credit))
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
