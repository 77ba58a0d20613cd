package script_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/zioflow/gateway/internal/script"
)

// echo says to everybody else what anybody says: to b and c.
type echo struct {
	script.Record
	done []string
}

func (e *echo) Act(l script.Line) error {
	e.done = append(e.done, l.Text)
	if l.Rest == "nonsense" {
		return errors.New("nothing can be made of it")
	}
	for _, to := range []string{"b", "c"} {
		if l.Who != "" && l.Who != to {
			e.Came(to + "< " + l.Rest)
		}
	}
	return nil
}

func TestPlay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ steps, want string }{
		{"a> 1\nb< 1\nc< 1\nwait\nb> 2 => c< 2", ""},
		{"a> 1\nb< 1\nb> 2\nc< 2", "x.txt:3:\n     2  a> 1\n     3  b< 1\n        want  nothing more\n        got   c< 1"},
		{"a> 1\nb< 2\nc< 1", "x.txt:3:\n     2  a> 1\n     3  b< 2\n        want  b< 2\n        got   b< 1"},
		{"a> 1\nb< 1\nc< 1\nb< 1", "x.txt:5:\n     2  a> 1\n     3  b< 1\n     4  c< 1\n     5  b< 1\n        want  b< 1\n        got   nothing"},
		{"b> 1 => c< 1\nb> 2", "x.txt:3:\n     2  b> 1\n     2  c< 1\n     3  b> 2\n        at the end: want  nothing more\n        got   c< 2"},
		{"a> nonsense", "x.txt:2:\n     2  a> nonsense\n        nothing can be made of it"},
	} {
		all, err := script.Parse("x.txt", "scenario: s\n"+tt.steps)
		if err != nil {
			t.Fatal(err)
		}
		err = all[0].Play(&echo{})
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || err.Error() != tt.want) {
			t.Errorf("%s\nfails with\n%v\nwant\n%s", tt.steps, err, tt.want)
		}
		failure, is := errors.AsType[*script.Failure](err)
		if err != nil && (!is || failure.File != "x.txt") {
			t.Errorf("%s\nfails with a %T", tt.steps, err)
		}
	}
}

// TestRewrite: what came stands in the place of what was written, and nothing else changes.
func TestRewrite(t *testing.T) {
	t.Parallel()
	text := `# About.
scenario: s
rules: BRK-1
# Why.
a> 1   # what
b< old
c< old

a> 2                 => b< old
wait
a> 3 => b< old ; c< old
`
	want := `# About.
scenario: s
rules: BRK-1
# Why.
a> 1   # what
b< 1
c< 1

a> 2                 => b< 2 ; c< 2
wait
a> 3                 => b< 3 ; c< 3
`
	all, err := script.Parse("x.txt", text)
	if err != nil {
		t.Fatal(err)
	}
	came, e := map[int][]string{}, &echo{}
	for _, l := range all[0].Lines {
		if l.Kind != script.Receive {
			if err := e.Act(l); err != nil {
				t.Fatal(err)
			}
			came[l.Line] = e.Take()
		}
	}
	if got := script.Rewrite(text, all, came); got != want {
		t.Errorf("rewritten to\n%s", got)
	}
	if all, err = script.Parse("x.txt", want); err != nil {
		t.Fatal(err)
	}
	if err := all[0].Play(&echo{}); err != nil {
		t.Error(err)
	}
	if strings.Join(e.done, " ") != "a> 1 a> 2 wait a> 3" {
		t.Errorf("done was %q", e.done)
	}
}
