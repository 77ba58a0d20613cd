package main

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

// part is a piece of a plan that can be measured by itself.
type part string

const (
	partRates    part = "rates"    // one flow, by size
	partCredits  part = "credits"  // one flow, by credit
	partTrips    part = "trips"    // round trips
	partFlows    part = "flows"    // many flows at once
	partDealer   part = "dealer"   // all of DEALER and ROUTER
	partCurve    part = "curve"    // all of CURVE
	partIdle     part = "idle"     // flows that do nothing
	partOpenings part = "openings" // flows opened and ended
	partBeside   part = "beside"   // a flow beside load
)

var parts = []part{partRates, partCredits, partTrips, partFlows, partDealer, partCurve, partIdle, partOpenings, partBeside}

// plan says what a run measures.
type plan struct {
	rounds     int           // after one to calibrate
	during     time.Duration // of a trial, about
	groups     []group
	idle       []several
	idleRounds int
	idleFor    time.Duration
	openings   []several
	beside     []crowd
}

// group is loads that are measured on some paths, in the same rounds.
type group struct {
	part  part
	paths []path
	loads []load
	least int // messages in each flow
}

// several is a number of flows at once, without data.
type several struct {
	part  part
	paths []path
	flows int
}

// crowd is flows that are all busy while one other makes round trips.
type crowd struct {
	part   part
	path   path // the one's
	size   int  // of its messages
	trips  int
	others int // how many the others are, on plain sockets
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
	// flowsLeast is so many that opening and ending a flow do not show where a
	// message costs little.
	flowsLeast = 50
)

// idleCredit is the credit of flows that carry nothing.
const idleCredit = 10

func at(size, credit int) load { return load{flows: 1, rounds: 1, size: size, credit: credit} }

func atOnce(flows ...int) (all []load) {
	for _, n := range flows {
		all = append(all, load{flows: n, rounds: 1, size: flowsSize, credit: flowsCredit})
	}
	return all
}

// alone makes a group of each load.
func (p *plan) alone(of part, paths []path, loads ...load) {
	for _, l := range loads {
		p.groups = append(p.groups, group{of, paths, []load{l}, least})
	}
}

// bySize is one flow for each size.
func bySize(sizes ...int) (all []load) {
	for _, size := range sizes {
		all = append(all, at(size, usual(size)))
	}
	return all
}

func (p *plan) flows(of part, paths []path, least int, loads []load) {
	p.groups = append(p.groups, group{of, paths, loads, least})
}

// full is what `make bench` runs, in 25 minutes.
func full() plan {
	p := plan{
		rounds: 7, during: 450 * time.Millisecond,
		idleRounds: 3, idleFor: 3 * time.Second,
		idle: []several{
			{partIdle, []path{like(native), like(viaGRPC)}, 100},
			{partIdle, []path{like(native), like(viaGRPC), like(raw)}, 1000},
			{partIdle, []path{like(raw), like(viaGRPC)}, 10_000},
		},
		openings: []several{{partOpenings, paths, 1}, {partOpenings, append(slices.Clone(paths), like(raw)), 100}},
		beside:   []crowd{{partBeside, like(native), small, 600, 100}},
	}
	p.alone(partRates, paths, bySize(small, page, medium, large, tensor, huge)...)
	p.alone(partCredits, paths, at(page, 2), at(page, 1000)) // 10 is among the flows at once
	p.alone(partCredits, paths, at(large, 2), at(large, 100), at(large, 1000))
	p.alone(partTrips, paths, at(small, 1), at(page, 1), at(large, 1))
	p.flows(partFlows, paths, least, atOnce(1, 10, 100, 1000))
	p.flows(partFlows, []path{like(raw)}, flowsLeast, atOnce(10, 100, 1000))
	dealers := []path{like(dealer)}
	p.alone(partDealer, dealers, bySize(small, page, medium, large, tensor, huge)...)
	p.alone(partDealer, dealers, at(small, 1), at(page, 1))
	p.flows(partDealer, dealers, least, atOnce(10, 100))
	p.alone(partCurve, []path{like(curve)}, bySize(small, page, large, tensor)...)
	return p
}

// short is what `BENCH=short make bench` runs, in four minutes.
func short() plan {
	p := plan{
		rounds: 3, during: 250 * time.Millisecond,
		idleRounds: 1, idleFor: 2 * time.Second,
		idle:     []several{{partIdle, []path{like(raw), like(viaGRPC)}, 1000}},
		openings: []several{{partOpenings, paths, 1}, {partOpenings, paths, 100}},
		beside:   []crowd{{partBeside, like(native), small, 200, 100}},
	}
	p.alone(partRates, paths, bySize(small, page, large, tensor)...)
	p.alone(partTrips, paths, at(small, 1))
	p.flows(partFlows, paths, least, atOnce(10, 1000))
	p.flows(partFlows, []path{like(raw)}, least, atOnce(10, 1000))
	p.alone(partDealer, []path{like(dealer)}, bySize(page, large)...)
	p.alone(partCurve, []path{like(curve)}, bySize(page, large)...)
	return p
}

// selection is which parts of a plan are measured, and on which paths; all of
// what is not named.
type selection struct {
	Only  []string `help:"Measure only these parts: ${parts}." placeholder:"PART"`
	Paths []string `help:"Measure only these paths: ${paths}." placeholder:"PATH"`
}

// names are for the help.
func names[T any](all []T) string {
	words := make([]string, len(all))
	for i, one := range all {
		words[i] = fmt.Sprint(one)
	}
	return strings.Join(words, ", ")
}

// everything tells whether nothing is left out.
func (s selection) everything() bool { return len(s.Only) == 0 && len(s.Paths) == 0 }

func (s selection) String() string { return strings.Join(slices.Concat(s.Only, s.Paths), ",") }

// of returns what is chosen of a plan.
func (s selection) of(p plan) (plan, error) {
	for _, name := range s.Only {
		if !slices.Contains(parts, part(name)) {
			return p, fmt.Errorf("part %q: want one of %v", name, parts)
		}
	}
	if _, err := choose(s.Paths); err != nil {
		return p, err
	}
	p.groups = choosing(p.groups, func(g *group) bool { return s.has(g.part, &g.paths) })
	p.idle = choosing(p.idle, func(i *several) bool { return s.has(i.part, &i.paths) })
	p.openings = choosing(p.openings, func(o *several) bool { return s.has(o.part, &o.paths) })
	p.beside = choosing(p.beside, func(b *crowd) bool { return s.has(b.part, &[]path{b.path}) })
	if len(p.groups)+len(p.idle)+len(p.openings)+len(p.beside) == 0 {
		return p, fmt.Errorf("nothing is both in %v and on %v", s.Only, s.Paths)
	}
	return p, nil
}

// has tells whether a part is chosen, and leaves the paths that are.
func (s selection) has(of part, on *[]path) bool {
	if len(s.Paths) > 0 {
		*on = choosing(*on, func(p *path) bool { return slices.Contains(s.Paths, p.String()) })
	}
	return len(*on) > 0 && (len(s.Only) == 0 || slices.Contains(s.Only, string(of)))
}

// choosing returns the chosen ones, which the function may have changed.
func choosing[T any](all []T, chosen func(*T) bool) (some []T) {
	for _, one := range all {
		if chosen(&one) {
			some = append(some, one)
		}
	}
	return some
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
