package play

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/zioflow/gateway/internal/script"
)

// Result is what became of a rule or of a play.
type Result string

// The results.
const (
	Passed  Result = "passed"
	Failed  Result = "failed"
	Skipped Result = "skipped"
)

// Report is what a broker has kept to.
type Report struct {
	// Rules are all that the scenarios name, in the order of the protocol page.
	Rules []Rule `json:"rules"`
	// Failures are the plays that did not go as written.
	Failures []Failure `json:"failures"`
	// Notes say what could not be looked at.
	Notes []string `json:"notes"`
}

// Rule is what became of one rule. It has passed if every scenario that shows it and could
// be played has.
type Rule struct {
	ID     string `json:"rule"`
	Result Result `json:"result"`
	// Passed, Failed and Skipped count plays: a scenario is played once for each pair of
	// transports.
	Passed  int `json:"passed"`
	Failed  int `json:"failed"`
	Skipped int `json:"skipped"`
	// Because has why plays were skipped, each reason once.
	Because []string `json:"because"`
}

// Failure is a play that did not go as written.
type Failure struct {
	File       string   `json:"file"`
	Line       int      `json:"line"`
	Scenario   string   `json:"scenario"`
	Transports string   `json:"transports"`
	Rules      []string `json:"rules"`
	// Step is the line's text. Want and Got are empty where there was no such difference.
	Step   string `json:"step"`
	Want   string `json:"want"`
	Got    string `json:"got"`
	Reason string `json:"reason"`
	// Transcript is every line up to that one.
	Transcript string `json:"transcript"`
}

// Run plays the scenarios that take, with all pairs of transports that the broker has.
// progress is called after every play; it may be nil.
func (t *Target) Run(all []*Scenario, take func(*Scenario) bool, progress func(*Scenario, Pair, error)) *Report {
	r := &Report{Rules: []Rule{}, Failures: []Failure{}, Notes: []string{}}
	rules := map[string]*Rule{}
	for _, s := range all {
		if !take(s) {
			continue
		}
		for _, pair := range s.Pairs() {
			lacks := t.Lacks(s, pair)
			var err error
			if lacks == "" {
				if err = t.Play(s, pair); err != nil {
					r.Failures = append(r.Failures, failureOf(s, pair, err))
				}
				if progress != nil {
					progress(s, pair, err)
				}
			}
			for _, id := range s.Rules {
				if rules[id] == nil {
					rules[id] = &Rule{ID: id, Because: []string{}}
				}
				rules[id].count(lacks, err)
			}
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(rules), byPage) {
		r.Rules = append(r.Rules, rules[id].concluded())
	}
	if watched, err := t.Watched(); t.GRPC == "" || err == nil && !watched {
		r.Notes = append(r.Notes, "why flows ended, and that all have, was not looked at: the broker does not show its flows (AdminService)")
	}
	return r
}

func (r *Rule) count(lacks string, err error) {
	switch {
	case lacks != "":
		r.Skipped++
		if !slices.Contains(r.Because, lacks) {
			r.Because = append(r.Because, lacks)
		}
	case err != nil:
		r.Failed++
	default:
		r.Passed++
	}
}

func (r *Rule) concluded() Rule {
	switch {
	case r.Failed > 0:
		r.Result = Failed
	case r.Passed > 0:
		r.Result = Passed
	default:
		r.Result = Skipped
	}
	return *r
}

// byPage is the order of the protocol page.
func byPage(a, b string) int {
	place := func(id string) (int, string, int) {
		family, digits, _ := strings.Cut(id, "-")
		var n int
		_, _ = fmt.Sscan(digits, &n)
		return strings.Index("MSG FLOW BRK", family), family, n
	}
	i, familyA, n := place(a)
	j, familyB, m := place(b)
	if i != j {
		return i - j
	}
	if familyA != familyB {
		return strings.Compare(familyA, familyB)
	}
	return n - m
}

func failureOf(s *Scenario, pair Pair, err error) Failure {
	f := Failure{File: s.File, Line: s.Line, Scenario: s.Title, Transports: pair.String(), Rules: s.Rules, Reason: err.Error()}
	if step, ok := errors.AsType[*script.Failure](err); ok {
		f.Line, f.Step, f.Transcript, f.Reason = step.Line, step.Text, step.Transcript, step.Err.Error()
	}
	if d, ok := errors.AsType[*script.Difference](err); ok {
		f.Want, f.Got, f.Reason = d.Want, d.Got, d.Reason
	}
	return f
}

// Count is how many rules have a result.
func (r *Report) Count(of Result) (n int) {
	for _, rule := range r.Rules {
		if rule.Result == of {
			n++
		}
	}
	return n
}

// Print prints the report as tables: the rules, and below them the first failure of each
// scenario.
func (r *Report) Print(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "rule\tresult\tplays")
	for _, rule := range r.Rules {
		plays := fmt.Sprint(rule.Passed + rule.Failed)
		if rule.Failed > 0 {
			plays = fmt.Sprintf("%d of %d failed", rule.Failed, rule.Passed+rule.Failed)
		}
		if rule.Result == Skipped {
			plays = rule.Because[0]
			if n := len(rule.Because); n > 1 {
				plays += fmt.Sprintf(", and %d more", n-1)
			}
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", rule.ID, rule.Result, plays)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	var out strings.Builder
	shown := map[string]bool{}
	for _, f := range r.Failures {
		if shown[f.Scenario] {
			continue
		}
		shown[f.Scenario] = true
		f.print(&out)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&out, "\nnote: %s\n", note)
	}
	fmt.Fprintf(&out, "\n%d rules passed, %d failed, %d skipped\n", r.Count(Passed), r.Count(Failed), r.Count(Skipped))
	_, err := io.WriteString(to, out.String())
	return err
}

func (f *Failure) print(out *strings.Builder) {
	fmt.Fprintf(out, "\n%s:%d: %s, %s (%s)\n", f.File, f.Line, f.Scenario, f.Transports, strings.Join(f.Rules, " "))
	if f.Step != "" {
		fmt.Fprintf(out, "  step   %s\n", f.Step)
	}
	if f.Want != "" {
		fmt.Fprintf(out, "  want   %s\n  got    %s\n", f.Want, f.Got)
	}
	if f.Reason != "" {
		fmt.Fprintf(out, "  %s\n", f.Reason)
	}
}
