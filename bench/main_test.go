package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if programDir != "" {
			_ = os.RemoveAll(programDir)
		}
		os.Exit(code)
	}))
}

var programDir string // set by buildAll; nothing else runs when it is removed

// buildAll builds everything once for all tests.
var buildAll = sync.OnceValues(func() (*programs, error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	if programDir, err = os.MkdirTemp("", "bench"); err != nil {
		return nil, err
	}
	return build(root, programDir)
})

func builtPrograms(t *testing.T) *programs {
	t.Helper()
	p, err := buildAll()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Everything that a plan can have is measured, and written so that it can be
// read: how fast is of no interest here.
func TestRun(t *testing.T) {
	p := builtPrograms(t)
	tiny := plan{
		rounds: 1, during: time.Millisecond,
		rates:      []load{at(large, 3)},
		roundTrips: []int{small},
		flows:      []int{10, 70}, // of 70, more than one thread takes care in native/load.c
		openings:   []int{3},
		idle:       []int{5}, idleRounds: 1, idleFor: time.Millisecond,
	}
	file := filepath.Join(t.TempDir(), "results.txt")
	if err := measure(tiny, p, file); err != nil {
		t.Fatal(err)
	}
	all, err := readResults(file)
	if err != nil {
		t.Fatal(err)
	}
	rates := []string{unitRate, unitBytes, unitCPUPerGB, unitCPUPerMsg, unitPeak}
	for kind, want := range map[string]struct {
		subjects       int
		units, gateway []string // of both, and of the gateway besides
	}{
		"Rate":      {4 * 3, rates, []string{unitMallocs, ratioRate, ratioCPU}},
		"RoundTrip": {4, append([]string{unitP50, unitP99, unitP999}, rates...), []string{unitMallocs, ratioP50, ratioP99}},
		"Opening":   {4, []string{unitFlows, unitP50, unitP99}, []string{ratioFlows}},
		"Idle":      {2, []string{unitIdleBytes}, nil}, // so few may cost nothing that shows
	} {
		found := all.find(func(s subject) bool { return s.kind == kind })
		if len(found) != want.subjects {
			t.Errorf("%s: %d subjects, want %d: %v", kind, len(found), want.subjects, found)
		}
		for _, s := range found {
			requirePositive(t, s, all.baseline[s], want.units)
			requirePositive(t, s, all.gateway[s], slices.Concat(want.units, want.gateway))
		}
	}
	var tables strings.Builder
	if err := writeTables(&tables, all); err != nil {
		t.Fatal(err)
	}
	for _, title := range []string{"One flow", "Round trips", "Flows at once", "Opening", "An idle flow"} {
		if !strings.Contains(tables.String(), "### "+title) {
			t.Errorf("no table %q in\n%s", title, tables.String())
		}
	}
}

func requirePositive(t *testing.T, s subject, of samples, units []string) {
	t.Helper()
	for _, unit := range units {
		if len(of[unit]) == 0 || s.kind != "Idle" && spreadOf(of[unit]).low <= 0 {
			t.Errorf("%v: %s is %v", s, unit, of[unit])
		}
	}
}

// Takers notice what is missing.
func TestLoadsCount(t *testing.T) {
	p := builtPrograms(t)
	s, err := startAll(p)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	}()
	for _, via := range []transport{native, viaGRPC} {
		for _, r := range []*relay{s.baselines[via], s.gateway} {
			gives := load{flows: 1, rounds: 1, count: 10, size: 8, credit: 5}
			takes := gives
			takes.count++
			giver, taker, err := s.peers(t.Context(), r, path{via, via}, gives, takes)
			if err != nil {
				t.Fatal(err)
			}
			if err := giver.expect("open"); err != nil {
				t.Fatal(err)
			}
			if lines, err := finish(giver, taker); err == nil {
				t.Errorf("%s: a taker was content with 10 of 11 messages: %v", via, lines)
			}
			giver.end()
		}
	}
}
