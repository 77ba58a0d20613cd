package main

import (
	"syscall"
	"time"
)

// plan says what a run measures.
type plan struct {
	rounds int           // after one to calibrate
	during time.Duration // of a trial, about
	rates  []load
	// sizes whose round trips are timed, at a credit of 1
	roundTrips []int
	// flows at once, all with the same load, in the same rounds
	flows []int
	// flows opened and ended at once, without data
	openings []int
	// idle flows
	idle       []int
	idleRounds int
	idleFor    time.Duration
}

// The payloads of the project's figures.
const (
	small  = 100
	page   = 4 << 10
	medium = 64 << 10
	large  = 1 << 20
	tensor = 4_800_000
	huge   = 60_000_000
)

// usual is the credit at which sizes are compared. Less for the largest, of
// which so many would not fit into a small machine's memory.
func usual(size int) int {
	if size >= large {
		return 10
	}
	return 100
}

// The load of flows at once.
const (
	flowsSize   = page
	flowsCredit = 10
)

// idleCredit is the credit of flows that carry nothing.
const idleCredit = 10

func at(size, credit int) load { return load{flows: 1, rounds: 1, size: size, credit: credit} }

// full is what `make bench` runs, in about a quarter of an hour.
func full() plan {
	p := plan{
		rounds: 7, during: 450 * time.Millisecond,
		roundTrips: []int{small, page, large},
		flows:      []int{1, 10, 100, 1000},
		openings:   []int{1, 100},
		idle:       []int{100, 1000, 10_000}, idleRounds: 3, idleFor: 3 * time.Second,
	}
	for _, size := range []int{small, page, medium, large, tensor, huge} {
		p.rates = append(p.rates, at(size, usual(size)))
	}
	for _, size := range []int{page, large} {
		for _, credit := range []int{2, 10, 100, 1000} {
			if credit != usual(size) {
				p.rates = append(p.rates, at(size, credit))
			}
		}
	}
	return p
}

// short is what `BENCH=short make bench` runs, in a few minutes.
func short() plan {
	p := plan{
		rounds: 3, during: 250 * time.Millisecond,
		roundTrips: []int{small},
		flows:      []int{10, 1000},
		openings:   []int{1, 100},
		idle:       []int{1000}, idleRounds: 1, idleFor: 2 * time.Second,
	}
	for _, size := range []int{small, page, large, tensor} {
		p.rates = append(p.rates, at(size, usual(size)))
	}
	return p
}

// mostNativeFlows is how many flows between native peers a relay may have
// descriptors for here: each peer takes one.
func mostNativeFlows() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 100 // enough for this everywhere
	}
	return int(min(limit.Max, 1<<20)-200) / 2
}
