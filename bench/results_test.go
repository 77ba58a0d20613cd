package main

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/perf/benchfmt"
)

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   spread
	}{
		{[]float64{3}, spread{3, 3, 3, 3, 3}},
		{[]float64{5, 1, 3}, spread{3, 1, 5, 3, 3}},
		{[]float64{4, 1, 2, 9}, spread{3, 1, 9, 2, 4}},
		{[]float64{7, 1, 2, 6, 3, 5, 4}, spread{4, 1, 7, 3, 5}},
	} {
		if got := spreadOf(test.values); got != test.want {
			t.Errorf("spread of %v is %v, want %v", test.values, got, test.want)
		}
	}
	if got := spreadOf(nil); !math.IsNaN(got.median) {
		t.Errorf("spread of nothing is %v", got)
	}
}

func TestQuantile(t *testing.T) {
	var values []time.Duration
	for i := range 1000 {
		values = append(values, time.Duration(1000-i))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 500, 0.99: 990, 0.999: 999, 1: 1000} {
		if got := quantile(values, q); got != want {
			t.Errorf("quantile %v is %d, want %d", q, got, want)
		}
	}
	if got := quantile(nil, 0.5); got != 0 {
		t.Errorf("quantile of nothing is %d", got)
	}
}

func TestTakersReport(t *testing.T) {
	var o outcome
	if err := o.read([]string{"800 400000000", "12", "13"}); err != nil {
		t.Fatal(err)
	}
	if o.rate != 2000 || !slices.Equal(o.samples, []time.Duration{12, 13}) {
		t.Errorf("read rate %v, samples %v", o.rate, o.samples)
	}
	for _, lines := range [][]string{nil, {"800"}, {"800 1", "x"}} {
		if err := new(outcome).read(lines); err == nil {
			t.Errorf("read %q", lines)
		}
	}
}

// A path between unlike peers is compared with the slower baseline.
func TestContenders(t *testing.T) {
	like, unlike := path{native, native}, path{native, viaGRPC}
	for _, test := range []struct {
		paths []path
		want  []contender
	}{
		{[]path{like}, []contender{{like, false}, {like, true}}},
		{[]path{unlike}, []contender{{like, false}, {unlike, true}, {path{viaGRPC, viaGRPC}, false}}},
	} {
		if got := contenders(test.paths); !slices.Equal(got, test.want) {
			t.Errorf("contenders for %v: %v, want %v", test.paths, got, test.want)
		}
	}
	if got := len(contenders(allPaths)); got != 7+5 {
		t.Errorf("%d contenders for all paths, want 7 and 5 baselines", got)
	}
}

// recorded is what is read of what is written.
func recorded(t *testing.T, write func(*recorder) error, notes ...benchfmt.Config) *results {
	t.Helper()
	var file bytes.Buffer
	r, err := newRecorder(&file, notes...)
	if err == nil {
		err = write(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	all, err := parseResults(&file, "test")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// rounds writes one of a path for each rate, the baseline's being 1000.
func rounds(p path, rates ...float64) func(*recorder) error {
	return func(r *recorder) (err error) {
		for _, rate := range rates {
			l := load{flows: 1, rounds: 1, count: 1000, size: small, credit: 100}
			one := outcome{load: l, rate: rate, cpu: time.Second, mallocs: 2000, peak: 1 << 20}
			base := one
			base.rate = 1000
			err = errors.Join(err, r.rate(pairing{p, one, base}, pairing{}))
		}
		return err
	}
}

// record writes rounds of native-native with these rates.
func record(t *testing.T, rates ...float64) *results {
	t.Helper()
	return recorded(t, rounds(like(native), rates...))
}

// What could not be measured is said.
func TestNotMeasured(t *testing.T) {
	all := recorded(t, func(r *recorder) error {
		r.notMeasured = []string{"a million idle flows"}
		return r.idle(like(native), 10, idleCost{bytes: 2}, idleCost{bytes: 1})
	})
	var tables strings.Builder
	if err := writeTables(&tables, all); err != nil || !strings.Contains(tables.String(), "a million idle flows") {
		t.Errorf("%v, tables are\n%s", err, tables.String())
	}
}

// What is written is what is read.
func TestRecord(t *testing.T) {
	all := record(t, 900, 800)
	about := subject{"Rate", "native-native", small, 100, 1}
	if !slices.Equal(all.subjects, []subject{about}) {
		t.Fatalf("subjects are %v", all.subjects)
	}
	for unit, want := range map[string][]float64{
		unitRate: {900, 800}, unitBytes: {90_000, 80_000}, unitMallocs: {2, 2}, unitCPUPerMsg: {1000, 1000},
		unitCPUPerGB: {10_000, 10_000}, unitPeak: {1 << 20, 1 << 20}, ratioRate: {0.9, 0.8}, ratioCPU: {1, 1},
	} {
		if got := all.gateway[about][unit]; !slices.Equal(got, want) {
			t.Errorf("%s is %v, want %v", unit, got, want)
		}
	}
	if got := all.baseline[about][unitRate]; !slices.Equal(got, []float64{1000, 1000}) {
		t.Errorf("the baseline's rate is %v", got)
	}
	if all.config["cores"] == "" || all.config["go"] == "" {
		t.Errorf("the file's head is %v", all.config)
	}
}

func TestBadResults(t *testing.T) {
	for _, text := range []string{
		"", "BenchmarkRate/path=a-b/by=gateway 1", "BenchmarkRate/path=a-b 1 2 msg/s\n",
		"BenchmarkRate/path=a-b/size=x/by=gateway 1 2 msg/s\n", "BenchmarkRate/colour=red/by=gateway 1 2 msg/s\n",
	} {
		if _, err := parseResults(strings.NewReader(text), "test"); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

func TestCompare(t *testing.T) {
	old := record(t, 900, 910, 890, 905, 895)
	for name, test := range map[string]struct {
		now  []float64
		want verdict
	}{
		"the same":         {[]float64{900, 910, 890, 905, 895}, same},
		"a little slower":  {[]float64{860, 850, 855, 845, 865}, same},
		"slower":           {[]float64{700, 710, 690, 705, 695}, worse},
		"slower by chance": {[]float64{700, 990, 600, 999, 980}, same},
		"faster":           {[]float64{1200, 1210, 1190, 1205, 1195}, improved},
	} {
		changes := compare(old, record(t, test.now...), 0.1)
		i := slices.IndexFunc(changes, func(c change) bool { return c.unit == ratioRate })
		if i < 0 || changes[i].verdict != test.want {
			t.Errorf("%s: %+v, want verdict %d", name, changes, test.want)
		}
		wantWorse := 0
		if test.want == worse {
			wantWorse = 1
		}
		var report strings.Builder
		if got := reportChanges(&report, changes, false); got != wantWorse {
			t.Errorf("%s: %d got worse\n%s", name, got, report.String())
		}
		if says := strings.Contains(report.String(), "worse   Rate native-native, 100 B, credit 100: ratio"); says != (wantWorse > 0) {
			t.Errorf("%s: the report is\n%s", name, report.String())
		}
	}
}

// What has not changed is said if it is asked for.
func TestReportAll(t *testing.T) {
	changes := []change{{about: subject{kind: "Rate", path: "a-b", flows: 1}, unit: ratioRate, old: 1, now: 1, p: 1}}
	for all, want := range map[bool]string{
		true: "same    Rate a-b: ratio 1.00, was 1.00 (+0%, p=1.000)\n1 figures compared, 0 worse\n", false: "1 figures compared, 0 worse\n",
	} {
		var report strings.Builder
		if reportChanges(&report, changes, all); report.String() != want {
			t.Errorf("all %v: the report is %q, want %q", all, report.String(), want)
		}
	}
}

// What only one of two files has is no reason to fail.
func TestCompareWithNew(t *testing.T) {
	old := recorded(t, func(r *recorder) error {
		return errors.Join(rounds(like(native), 900, 910)(r), rounds(like(viaGRPC), 900, 910)(r))
	})
	now := recorded(t, func(r *recorder) error {
		return errors.Join(rounds(like(native), 900, 910)(r), rounds(like(curve), 100, 110)(r))
	})
	for _, c := range compare(old, now, 0.1) {
		if c.about.path != "native-native" {
			t.Errorf("%v was compared", c.about)
		}
	}
	if got, want := differences(old, now), "1 benchmarks are new, 1 were not measured now\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// For times and sizes, less is better.
func TestJudgeLess(t *testing.T) {
	for _, test := range []struct {
		now  float64
		want verdict
	}{{2, worse}, {1, same}, {0.5, improved}} {
		c := change{unit: ratioP99, old: 1, now: test.now}
		if c.judge(0.1); c.verdict != test.want {
			t.Errorf("p99 of %v instead of 1 is %d, want %d", test.now, c.verdict, test.want)
		}
	}
}

// has tells whether a plan measures what a subject is about.
func (p plan) has(about subject) bool {
	on := func(paths []path) bool {
		return slices.ContainsFunc(paths, func(p path) bool { return p.String() == about.path })
	}
	switch about.kind {
	case "Opening", "Idle":
		all := p.openings
		if about.kind == "Idle" {
			all = p.idle
		}
		return slices.ContainsFunc(all, func(o several) bool { return o.flows == about.flows && on(o.paths) })
	default:
		return slices.ContainsFunc(p.groups, func(g group) bool {
			return on(g.paths) && slices.ContainsFunc(g.loads, func(l load) bool {
				return l.size == about.size && l.credit == about.credit && l.flows == about.flows
			})
		})
	}
}

// All that is wanted is measured.
func TestPlansHaveWhatIsWanted(t *testing.T) {
	for _, w := range wishes() {
		if !full().has(w.about) {
			t.Errorf("%+v is not in the plan", w)
		}
	}
	for _, g := range short().groups {
		for _, p := range g.paths {
			for _, l := range g.loads {
				if about := (subject{"Rate", p.String(), l.size, l.credit, l.flows}); !full().has(about) {
					t.Errorf("%v is only in the short plan", about)
				}
			}
		}
	}
}

// Every kind of figure is in the short plan too.
func TestShortHasEveryPart(t *testing.T) {
	for _, one := range parts {
		_, err := selection{Only: []string{string(one)}}.of(short())
		if want := one != partCredits; (err == nil) != want {
			t.Errorf("%s: %v", one, err)
		}
	}
}

func TestSelection(t *testing.T) {
	p, err := selection{Only: []string{"curve", "idle"}}.of(full())
	if err != nil || len(p.groups) != 4 || len(p.idle) != 3 || len(p.openings)+len(p.beside) != 0 {
		t.Errorf("curve and idle are %+v, %v", p, err)
	}
	p, err = selection{Paths: []string{"raw-raw"}}.of(full())
	if err != nil || len(p.groups) != 1 || len(p.idle) != 2 || len(p.openings) != 1 || len(p.beside) != 0 ||
		!slices.Equal(p.openings[0].paths, []path{like(raw)}) {
		t.Errorf("all of raw-raw is %+v, %v", p, err)
	}
	if p, err = (selection{}).of(full()); err != nil || len(p.groups) != len(full().groups) || len(p.beside) != 1 {
		t.Errorf("all is %+v, %v", p, err)
	}
	for _, s := range []selection{{Only: []string{"speed"}}, {Paths: []string{"a-b"}}, {[]string{"curve"}, []string{"raw-raw"}}} {
		if _, err := s.of(full()); err == nil {
			t.Errorf("%+v was accepted", s)
		}
	}
}

func TestWanted(t *testing.T) {
	table := wanted(record(t, 1150))
	if len(table.rows) != 2 || table.rows[0][3] != "reached" || table.rows[1][3] != "missed" {
		t.Errorf("a ratio of 1.15 with 2 allocations a message: %v", table.rows)
	}
	if table = wanted(record(t, 1050)); table.rows[0][3] != "missed" {
		t.Errorf("a ratio of 1.05: %v", table.rows)
	}
	if (wish{unit: ratioP99, value: 1.5}).reached(1.6) {
		t.Error("1.6 is not ≤ 1.5")
	}
}

// Of idle flows those count that the machine could bear, in KiB.
func TestWantedIdle(t *testing.T) {
	all := recorded(t, func(r *recorder) error {
		return errors.Join(r.idle(like(raw), 100, idleCost{bytes: 50 << 10}, idleCost{bytes: 1}),
			r.idle(like(raw), 9900, idleCost{bytes: 19 << 10}, idleCost{bytes: 1}))
	})
	want := []string{"KiB of an idle flow, raw-raw, 9900 of them", "≤ 20.00", "**19.00** (19.00–19.00)", "reached"}
	if rows := wanted(all).rows; len(rows) != 1 || !slices.Equal(rows[0], want) {
		t.Errorf("the rows are %q", rows)
	}
}

// The processor's time for a message is compared with that of ten flows.
func TestOfTen(t *testing.T) {
	of := func(flows int, rate float64, cpu time.Duration) pairing {
		o := outcome{load: load{flows: flows, rounds: 1, count: 100, size: page, credit: 10}, rate: rate, cpu: cpu}
		return pairing{like(raw), o, o}
	}
	ten, hundred := of(10, 1000, time.Second), of(100, 500, 30*time.Second) // for ten times as many messages
	all := recorded(t, func(r *recorder) error { return errors.Join(r.rate(ten, ten), r.rate(hundred, ten)) })
	about := subject{"Rate", "raw-raw", page, 10, 100}
	for unit, want := range map[string]float64{ratioOfTen: 0.5, ratioCPUOfTen: 3} {
		for by, got := range map[string]samples{"gateway": all.gateway[about], "baseline": all.baseline[about]} {
			if !slices.Equal(got[unit], []float64{want}) {
				t.Errorf("%s of the %s is %v, want %v", unit, by, got[unit], want)
			}
		}
	}
}

func TestInsert(t *testing.T) {
	page, err := insert([]byte("before\n"+tablesBegin+"old\n"+tablesEnd+"after\n"), []byte("new\n"))
	if want := "before\n" + tablesBegin + "new\n" + tablesEnd + "after\n"; err != nil || string(page) != want {
		t.Errorf("%q, %v", page, err)
	}
	if _, err := insert([]byte(tablesEnd+tablesBegin), nil); err == nil {
		t.Error("marks in the wrong order were accepted")
	}
}

// The page shows the results that are committed.
func TestPageIsOfTheResults(t *testing.T) {
	all, err := readResults("results.txt")
	if err != nil {
		t.Fatal(err)
	}
	var tables bytes.Buffer
	if err := writeTables(&tables, all); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join("..", "docs", "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := insert(page, tables.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(page, want) {
		t.Error("docs/performance.md has not the tables of bench/results.txt; scripts/bench.sh accept writes them")
	}
}

func TestBytesText(t *testing.T) {
	for n, want := range map[float64]string{100: "100 B", 4096: "4 KiB", 65536: "64 KiB", 1 << 20: "1 MiB", 4_800_000: "4.8 MB", 60_000_000: "60 MB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%v is %q, want %q", n, got, want)
		}
	}
}

func TestPanels(t *testing.T) {
	panels := panelsOf(record(t, 900, 800, 850, 10, 2000))
	if len(panels) != 2 || !slices.Equal(panels[0].Categories, []string{"100 B"}) {
		t.Fatalf("panels are %+v", panels)
	}
	first := panels[0].Series[0]
	if first.Name != "native-native" || *first.Median[0] != 0.85 || *first.Low[0] != 0.8 || *first.High[0] != 0.9 {
		t.Errorf("the first series is %+v", first)
	}
	if missing := panels[0].Series[1].Median[0]; missing != nil {
		t.Errorf("what was not measured is %v", *missing)
	}
}

// Native peers have a panel of their own, with those that were measured.
func TestNativePanel(t *testing.T) {
	panels := panelsOf(recorded(t, func(r *recorder) error {
		return errors.Join(rounds(like(native), 900)(r), rounds(like(curve), 700)(r))
	}))
	if len(panels) != 3 || len(panels[2].Series) != 2 {
		t.Fatalf("panels are %+v", panels)
	}
	if last := panels[2].Series[1]; last.Name != "curve-curve" || *last.Median[0] != 0.7 {
		t.Errorf("the last series is %+v", last)
	}
}
