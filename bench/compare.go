package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/perf/benchmath"
)

// compareCommand compares two result files by their ratios: these, unlike
// times, hardly depend on the machine.
type compareCommand struct {
	Old       string  `arg:"" help:"Result file to compare with."`
	New       string  `arg:"" help:"Result file to judge."`
	Tolerance float64 `default:"0.1" help:"By which share a ratio may get worse."`
	All       bool    `help:"Name what has not changed, too."`
}

// Run implements the command. It fails if something got slower.
func (c *compareCommand) Run() error {
	old, err := readResults(c.Old)
	if err != nil {
		return err
	}
	now, err := readResults(c.New)
	if err != nil {
		return err
	}
	changes := compare(old, now, c.Tolerance)
	fmt.Print(differences(old, now))
	if len(changes) == 0 {
		return errors.New("the files have no benchmark in common")
	}
	if slower := reportChanges(os.Stdout, changes, c.All); slower > 0 {
		return fmt.Errorf("%d of %d figures got worse", slower, len(changes))
	}
	return nil
}

// differences says how much only one of the files has.
func differences(old, now *results) string {
	only := func(has, lacks *results) int {
		return len(has.find(func(s subject) bool { return lacks.gateway[s] == nil }))
	}
	return fmt.Sprintf("%d benchmarks are new, %d were not measured now\n", only(now, old), only(old, now))
}

// change is how a ratio has changed between two files.
type change struct {
	about    subject
	unit     string
	old, now float64 // medians
	p        float64 // how probable such a difference is by chance
	verdict  verdict
}

type verdict int

const (
	same verdict = iota
	worse
	improved
)

// significant is the probability below which a change is none of chance's.
const significant = 0.05

// compare answers the changes of all ratios that both files have. A change
// counts if it is beyond the tolerance and hardly by chance.
func compare(old, now *results, tolerance float64) (all []change) {
	thresholds := &benchmath.Thresholds{CompareAlpha: significant}
	for _, s := range now.subjects {
		for _, unit := range ratios {
			before, after := old.gateway[s][unit], now.gateway[s][unit]
			if len(before) == 0 || len(after) == 0 {
				continue
			}
			c := change{about: s, unit: unit, old: spreadOf(before).median, now: spreadOf(after).median}
			c.p = benchmath.AssumeNothing.Compare(
				benchmath.NewSample(before, thresholds), benchmath.NewSample(after, thresholds)).P
			c.judge(tolerance)
			all = append(all, c)
		}
	}
	return all
}

func (c *change) judge(tolerance float64) {
	gain := c.now / c.old
	if !better[c.unit] {
		gain = c.old / c.now
	}
	switch {
	case c.p >= significant:
	case gain < 1-tolerance:
		c.verdict = worse
	case gain > 1/(1-tolerance):
		c.verdict = improved
	}
}

// reportChanges says what has changed, or all, and returns how much got worse.
func reportChanges(w io.Writer, changes []change, all bool) (slower int) {
	var text strings.Builder
	for _, list := range []struct {
		verdict verdict
		title   string
	}{{worse, "worse"}, {improved, "better"}, {same, "same"}} {
		if list.verdict == same && !all {
			continue
		}
		n := 0
		for _, c := range changes {
			if c.verdict != list.verdict {
				continue
			}
			fmt.Fprintf(&text, "%-7s %v: %s %.2f, was %.2f (%+.0f%%, p=%.3f)\n",
				list.title, c.about, c.unit, c.now, c.old, (c.now/c.old-1)*100, c.p)
			n++
		}
		if list.verdict == worse {
			slower = n
		}
	}
	fmt.Fprintf(&text, "%d figures compared, %d worse\n", len(changes), slower)
	_, _ = io.WriteString(w, text.String()) // the verdict is in the exit code, too
	return slower
}
