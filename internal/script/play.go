package script

import (
	"fmt"
	"strings"
)

// Player plays a scenario against something. Scenario.Play calls it line by line, from one
// goroutine.
type Player interface {
	// Act does what a line says, which is no Receive.
	Act(Line) error
	// Expect waits for what a line says is received, and compares it. An error that is a
	// *Difference shows what came instead.
	Expect(Line) error
	// Settle is called before every Act and at the end: it returns an error if something
	// came that no line says, as far as that shows.
	Settle(last bool) error
}

// Difference is that something else came than what a line wants.
type Difference struct {
	Want, Got string
	Reason    string // may be empty
}

func (d *Difference) Error() string {
	text := "want  " + d.Want + "\n        got   " + d.Got
	if d.Reason != "" {
		text += "\n        " + d.Reason
	}
	return text
}

// Failure is a scenario that did not go as it is written.
type Failure struct {
	Pos        // of the line
	Text       string
	Transcript string // the lines up to there
	Err        error
}

func (f *Failure) Error() string { return fmt.Sprintf("%v:\n%s        %v", f.Pos, f.Transcript, f.Err) }

// Unwrap returns what went wrong.
func (f *Failure) Unwrap() error { return f.Err }

// Play plays the scenario. An error is a *Failure.
func (s *Scenario) Play(p Player) error {
	var transcript strings.Builder
	fail := func(at Line, err error) error { return &Failure{at.Pos, at.Text, transcript.String(), err} }
	var before Line
	for i, l := range s.Lines {
		if l.Kind != Receive && i > 0 {
			if err := p.Settle(false); err != nil {
				return fail(before, err)
			}
		}
		fmt.Fprintf(&transcript, "  %4d  %s\n", l.Line, l.Text)
		do := p.Act
		if l.Kind == Receive {
			do = p.Expect
		}
		if err := do(l); err != nil {
			return fail(l, err)
		}
		before = l
	}
	if err := p.Settle(true); err != nil {
		return fail(before, fmt.Errorf("at the end: %w", err))
	}
	return nil
}
