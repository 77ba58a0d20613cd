package script

import (
	"fmt"
	"strings"
)

// Record is the part of a Player of something that tells all that comes of an act before
// the act returns: everything must be what the lines say, in their order. Its zero value
// is ready.
type Record struct{ came []string }

// Came adds a line of what came.
func (r *Record) Came(line string) { r.came = append(r.came, line) }

// Expect implements Player.
func (r *Record) Expect(l Line) error {
	if len(r.came) == 0 {
		return &Difference{Want: l.Text, Got: "nothing"}
	}
	got := r.came[0]
	r.came = r.came[1:]
	if got != l.Text {
		return &Difference{Want: l.Text, Got: got}
	}
	return nil
}

// Settle implements Player.
func (r *Record) Settle(bool) error {
	if len(r.came) == 0 {
		return nil
	}
	return &Difference{Want: "nothing more", Got: strings.Join(r.came, "\n              ")}
}

// Take returns what came and was not expected yet, and forgets it.
func (r *Record) Take() []string {
	came := r.came
	r.came = nil
	return came
}

// Rewrite returns the text of a script with what came of every act in the place of what
// is written. came has it by the acts' line numbers. Comments and heads stay, and what
// stood beside its act stands there again.
func Rewrite(text string, scenarios []*Scenario, came map[int][]string) string {
	acts, receives := map[int]Line{}, map[int]bool{}
	beside := map[int]bool{}
	for _, s := range scenarios {
		for _, l := range s.Lines {
			switch {
			case l.Kind != Receive:
				acts[l.Line] = l
			case l.Beside:
				beside[l.Line] = true
			default:
				receives[l.Line] = true
			}
		}
	}
	var out []string
	for i, line := range strings.Split(text, "\n") {
		act, is := acts[i+1]
		switch {
		case receives[i+1]:
		case !is || !beside[i+1]:
			out = append(append(out, line), came[i+1]...)
		case len(came[i+1]) == 0:
			out = append(out, act.Text)
		default:
			out = append(out, fmt.Sprintf("%-20s %s %s", act.Text, arrow, strings.Join(came[i+1], " "+separator+" ")))
		}
	}
	return strings.Join(out, "\n")
}
