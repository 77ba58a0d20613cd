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
	"golang.org/x/sys/unix"
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
	return build(root, programDir, "")
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
		idleRounds: 1, idleFor: time.Millisecond,
		idle:     []several{{partIdle, []path{like(native), like(viaGRPC), like(raw)}, 5}},
		openings: []several{{partOpenings, append(slices.Clone(paths), like(raw), like(curve)), 3}},
		beside:   []crowd{{partBeside, like(native), small, 20, 3}},
	}
	tiny.alone(partRates, allPaths, at(large, 3))
	tiny.alone(partTrips, allPaths, at(small, 1))
	tiny.flows(partFlows, allPaths, 5, atOnce(10, 70)) // of 70, more than one thread takes care in native/load.c
	file := filepath.Join(t.TempDir(), "results.txt")
	if err := measure(tiny, p, file, nil); err != nil {
		t.Fatal(err)
	}
	all, err := readResults(file)
	if err != nil {
		t.Fatal(err)
	}
	rates := []string{unitRate, unitBytes, unitCPUPerGB, unitCPUPerMsg, unitPeak}
	trips := []string{unitP50, unitP99, unitP999}
	for kind, want := range map[string]struct {
		subjects       int
		units, gateway []string // of both, and of the gateway besides
	}{
		"Rate":      {len(allPaths) * 3, rates, []string{unitMallocs, ratioRate, ratioCPU}},
		"RoundTrip": {len(allPaths), slices.Concat(trips, rates), []string{unitMallocs, ratioRate, ratioP50, ratioP99}},
		"Opening":   {6, append([]string{unitFlows}, trips...), []string{ratioFlows}},
		"Beside":    {1, trips, []string{ratioP99}},
		"Idle":      {3, []string{unitIdleBytes}, nil}, // so few may cost nothing that shows
	} {
		found := all.find(func(s subject) bool { return s.kind == kind })
		if len(found) != want.subjects {
			t.Errorf("%s: %d subjects, want %d: %v", kind, len(found), want.subjects, found)
		}
		for _, s := range found {
			units, gateway := want.units, want.gateway
			if kind == "Rate" && s.flows > 1 {
				units = slices.Concat(units, []string{ratioOfTen, ratioCPUOfTen})
			}
			requirePositive(t, s, all.baseline[s], units)
			requirePositive(t, s, all.gateway[s], slices.Concat(units, gateway))
		}
	}
	var tables strings.Builder
	if err := writeTables(&tables, all); err != nil {
		t.Fatal(err)
	}
	for _, title := range []string{"One flow", "Round trips: ", "Round trips beside", "Flows at once", "Opening", "An idle flow"} {
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
	s, err := start(p, allPaths)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	}()
	for _, via := range transports {
		for _, c := range []contender{{like(via), false}, {like(via), true}} {
			gives := load{flows: 1, rounds: 1, count: 10, size: 8, credit: 5}
			takes := gives
			takes.count++
			giver, taker, err := s.peers(t.Context(), s.of(c), like(via), gives, takes)
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

// TestCarried: flows cross two nodes, and what is measured of them is there.
func TestCarried(t *testing.T) {
	c := carriedCommand{Size: 1000, Credit: 5, Rounds: 2, During: time.Millisecond, Firsts: 3}
	f, err := c.measure(builtPrograms(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.alone) != 2 || len(f.carried) != 2 || f.carried[0] <= 0 || len(f.local) != 3 || len(f.far) != 3 || f.far[0] <= 0 || f.trips[0] <= 0 {
		t.Errorf("measured %+v", f)
	}
}

// A crowd that has gone home is no load.
func TestRunning(t *testing.T) {
	for words, want := range map[string]bool{"sleep 60": true, "true": false} {
		p, err := startPeer(t.Context(), strings.Fields(words))
		if err != nil {
			t.Fatal(err)
		}
		if !want {
			for p.lines.Scan() { // until it has ended
			}
			if err := awaitEnd(p.command.Process.Pid); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.running(); (err == nil) != want {
			t.Errorf("%s: %v", words, err)
		}
		p.end()
	}
}

// awaitEnd waits for a process, and leaves it to be waited for.
func awaitEnd(pid int) error {
	return unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
}
