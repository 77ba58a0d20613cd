package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
)

// tableCommand prints a result file as Markdown.
type tableCommand struct {
	Results string `arg:"" help:"Result file."`
	Into    string `help:"Put the tables into this file, between its two marks, instead." placeholder:"FILE"`
}

// Run implements the command.
func (c *tableCommand) Run() error {
	all, err := readResults(c.Results)
	if err != nil {
		return err
	}
	var tables bytes.Buffer
	if err := writeTables(&tables, all); err != nil {
		return err
	}
	if c.Into == "" {
		_, err := tables.WriteTo(os.Stdout)
		return err
	}
	page, err := os.ReadFile(c.Into)
	if err != nil {
		return err
	}
	if page, err = insert(page, tables.Bytes()); err != nil {
		return fmt.Errorf("%s: %w", c.Into, err)
	}
	return os.WriteFile(c.Into, page, 0o644)
}

// The marks between which a page has the tables.
const (
	tablesBegin = "<!-- results: make bench-accept writes what follows -->\n"
	tablesEnd   = "<!-- end of results -->\n"
)

// insert replaces what a page has between the marks.
func insert(page, tables []byte) ([]byte, error) {
	before, rest, begun := bytes.Cut(page, []byte(tablesBegin))
	_, after, ended := bytes.Cut(rest, []byte(tablesEnd))
	if !begun || !ended {
		return nil, errors.New("has no marks for results")
	}
	return slices.Concat(before, []byte(tablesBegin), tables, []byte(tablesEnd), after), nil
}

// writeTables writes all tables that the results have something for.
func writeTables(w io.Writer, all *results) error {
	out := bufio.NewWriter(w)
	_, _ = fmt.Fprintf(out, "%s, %s cores (%s), %s, %s/%s. Medians; in brackets the lowest and the highest round.\n",
		all.config["date"], all.config["cores"], all.config["cpu"], all.config["go"], all.config["goos"], all.config["goarch"])
	if missing := all.config[keyNotMeasured]; missing != "" {
		_, _ = fmt.Fprintf(out, "\nNot measured, as it took too long: %s.\n", missing)
	}
	for _, t := range []table{
		wanted(all), rateTable(all), roundTripTable(all), besideTable(all), flowsTable(all), openingTable(all), idleTable(all),
	} {
		t.write(out)
	}
	return out.Flush()
}

// table is a table of Markdown with a heading.
type table struct {
	title   string
	columns []string
	rows    [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// write writes it, unless it is empty. The writer keeps the error.
func (t table) write(w *bufio.Writer) {
	if len(t.rows) == 0 {
		return
	}
	_, _ = fmt.Fprintf(w, "\n### %s\n\n| %s |\n|%s\n", t.title, strings.Join(t.columns, " | "), strings.Repeat("---|", len(t.columns)))
	for _, row := range t.rows {
		_, _ = fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
	}
}

func wanted(all *results) table {
	t := table{title: "Figures wanted", columns: []string{"figure", "wanted", "measured", ""}}
	for _, w := range wishes() {
		w = w.find(all)
		values := all.gateway[w.about][w.unit]
		if len(values) == 0 {
			continue
		}
		sign, verdict := "≤", "missed"
		if better[w.unit] {
			sign = "≥"
		}
		if w.reached(spreadOf(values).median) {
			verdict = "reached"
		}
		t.add(w.text(), fmt.Sprintf("%s %.2f", sign, w.value*w.scale()), spreadText(values, w.scale()), verdict)
	}
	mallocs := math.NaN()
	for _, s := range all.find(func(s subject) bool {
		return s.kind == "Rate" && s.path == "native-native" && s.flows == 1 && s.size == small
	}) {
		mallocs = spreadOf(all.gateway[s][unitMallocs]).median
	}
	if !math.IsNaN(mallocs) {
		verdict := "reached"
		if mallocs >= 0.01 { // the runtime's own now and then
			verdict = "missed"
		}
		t.add("heap allocations for a DAT, native-native", "none", fmt.Sprintf("%.4f", mallocs), verdict)
	}
	return t
}

func rateTable(all *results) table {
	t := table{title: "One flow", columns: []string{"path", "size", "credit", "messages/s", "MB/s", "baseline", "ratio",
		"CPU µs a message", "baseline", "CPU s a GB", "baseline", "allocations a message", "peak MiB", "baseline"}}
	for _, s := range all.find(func(s subject) bool { return s.kind == "Rate" && s.flows == 1 && !isFlows(all, s) }) {
		g, b := all.gateway[s], all.baseline[s]
		t.add(s.path, bytesText(float64(s.size)), fmt.Sprint(s.credit),
			count(g, unitRate, 1), number(g, unitBytes, 1e-6), count(b, unitRate, 1), ratioText(g[ratioRate]),
			number(g, unitCPUPerMsg, 1), number(b, unitCPUPerMsg, 1), number(g, unitCPUPerGB, 1), number(b, unitCPUPerGB, 1),
			number(g, unitMallocs, 1), count(g, unitPeak, 1.0/(1<<20)), count(b, unitPeak, 1.0/(1<<20)))
	}
	return t
}

// isFlows tells whether a single flow was measured only to compare it with
// others: then the comparison is among its figures.
func isFlows(all *results, s subject) bool { return len(all.gateway[s][ratioOfTen]) > 0 }

func roundTripTable(all *results) table {
	t := table{title: "Round trips: credit 1, from PAY to DAT, in µs", columns: []string{"path", "size",
		"messages/s", "baseline", "ratio", "p50", "baseline", "p99", "baseline", "p99.9", "baseline", "ratio of p50", "ratio of p99"}}
	for _, s := range all.find(func(s subject) bool { return s.kind == "RoundTrip" }) {
		g, b := all.gateway[s], all.baseline[s]
		t.add(s.path, bytesText(float64(s.size)), count(g, unitRate, 1), count(b, unitRate, 1), ratioText(g[ratioRate]),
			count(g, unitP50, 1e6), count(b, unitP50, 1e6), count(g, unitP99, 1e6), count(b, unitP99, 1e6),
			count(g, unitP999, 1e6), count(b, unitP999, 1e6), ratioText(g[ratioP50]), ratioText(g[ratioP99]))
	}
	return t
}

func besideTable(all *results) table {
	t := table{title: "Round trips beside load: credit 1, from PAY to DAT, in µs", columns: []string{"path", "size", "busy flows beside",
		"p50", "baseline", "p99", "baseline", "ratio of p99"}}
	for _, s := range all.find(func(s subject) bool { return s.kind == "Beside" }) {
		g, b := all.gateway[s], all.baseline[s]
		t.add(s.path, bytesText(float64(s.size)), fmt.Sprint(s.flows),
			count(g, unitP50, 1e6), count(b, unitP50, 1e6), count(g, unitP99, 1e6), count(b, unitP99, 1e6), ratioText(g[ratioP99]))
	}
	return t
}

func flowsTable(all *results) table {
	t := table{title: fmt.Sprintf("Flows at once: %s, credit %d", bytesText(flowsSize), flowsCredit), columns: []string{"path", "flows",
		"messages/s", "baseline", "ratio", "/ 10 flows", "baseline", "CPU µs a message", "baseline", "CPU / 10 flows", "baseline", "peak MiB", "baseline"}}
	for _, s := range all.find(func(s subject) bool { return s.kind == "Rate" && isFlows(all, s) }) {
		g, b := all.gateway[s], all.baseline[s]
		t.add(s.path, fmt.Sprint(s.flows), count(g, unitRate, 1), count(b, unitRate, 1), ratioText(g[ratioRate]),
			ratioText(g[ratioOfTen]), ratioText(b[ratioOfTen]),
			number(g, unitCPUPerMsg, 1), number(b, unitCPUPerMsg, 1), ratioText(g[ratioCPUOfTen]), ratioText(b[ratioCPUOfTen]),
			count(g, unitPeak, 1.0/(1<<20)), count(b, unitPeak, 1.0/(1<<20)))
	}
	return t
}

func openingTable(all *results) table {
	t := table{title: "Opening and ending a flow, from the client's BOT to the handler's EOT", columns: []string{"path", "at once",
		"flows/s", "baseline", "p50 µs", "baseline", "p99 µs", "baseline", "ratio of flows/s"}}
	for _, s := range all.find(func(s subject) bool { return s.kind == "Opening" }) {
		g, b := all.gateway[s], all.baseline[s]
		t.add(s.path, fmt.Sprint(s.flows), count(g, unitFlows, 1), count(b, unitFlows, 1), count(g, unitP50, 1e6), count(b, unitP50, 1e6),
			count(g, unitP99, 1e6), count(b, unitP99, 1e6), ratioText(g[ratioFlows]))
	}
	return t
}

func idleTable(all *results) table {
	t := table{title: "An idle flow, both sides together", columns: []string{"path", "flows",
		"KiB a flow", "baseline", "ratio", "CPU ms an hour", "baseline"}}
	for _, s := range all.find(func(s subject) bool { return s.kind == "Idle" }) {
		g, b := all.gateway[s], all.baseline[s]
		t.add(s.path, fmt.Sprint(s.flows), number(g, unitIdleBytes, 1.0/(1<<10)), number(b, unitIdleBytes, 1.0/(1<<10)),
			ratioText(g[ratioIdleBytes]), count(g, unitIdleCPU, 1e3), count(b, unitIdleCPU, 1e3))
	}
	return t
}

// missing stands for a figure that older results do not have.
const missing = "–"

// number is the median with about three digits; count without a fraction.
func number(s samples, unit string, factor float64) string {
	value := spreadOf(s[unit]).median * factor
	switch {
	case value >= 100:
		return fmt.Sprintf("%.0f", value)
	case value >= 10:
		return fmt.Sprintf("%.1f", value)
	default:
		return fmt.Sprintf("%.2f", value)
	}
}

func count(s samples, unit string, factor float64) string {
	return fmt.Sprintf("%.0f", spreadOf(s[unit]).median*factor)
}

func ratioText(values []float64) string { return spreadText(values, 1) }

func spreadText(values []float64, factor float64) string {
	if len(values) == 0 {
		return missing
	}
	s := spreadOf(values)
	return fmt.Sprintf("**%.2f** (%.2f–%.2f)", s.median*factor, s.low*factor, s.high*factor)
}
