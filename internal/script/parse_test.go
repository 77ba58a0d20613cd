package script_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/zioflow/gateway/internal/script"
)

const example = `# About this file.

scenario: one
rules: BRK-1 FLOW-22
options: max-credit=5 builtin
c> {"flow":"BOT","x":"a  # b => c"} "a ; b"   # sent
  h<* DAT "=>" => "no
`

func TestParse(t *testing.T) {
	t.Parallel()
	text := strings.Replace(example, ` => "no`, "", 1) +
		"client> PAY 2  => handler< PAY 2 ; flow<* active \"a ; b\"\nh leaves\n\nscenario: two\nwait 2s\n"
	all, err := script.Parse("x.txt", text, "options")
	if err != nil {
		t.Fatal(err)
	}
	at := func(line int) script.Pos { return script.Pos{File: "x.txt", Line: line} }
	want := []*script.Scenario{
		{
			Pos: at(3), Title: "one", Rules: []string{"BRK-1", "FLOW-22"},
			Head: map[string][]string{"options": {"max-credit=5", "builtin"}},
			Lines: []script.Line{
				{Pos: at(6), Kind: script.Send, Who: "c", Text: `c> {"flow":"BOT","x":"a  # b => c"} "a ; b"`, Rest: `{"flow":"BOT","x":"a  # b => c"} "a ; b"`},
				{Pos: at(7), Kind: script.Receive, Own: true, Who: "h", Text: `h<* DAT "=>"`, Rest: `DAT "=>"`},
				{Pos: at(8), Kind: script.Send, Who: "client", Text: "client> PAY 2", Rest: "PAY 2"},
				{Pos: at(8), Kind: script.Receive, Beside: true, Who: "handler", Text: "handler< PAY 2", Rest: "PAY 2"},
				{Pos: at(8), Kind: script.Receive, Beside: true, Own: true, Who: "flow", Text: `flow<* active "a ; b"`, Rest: `active "a ; b"`},
				{Pos: at(9), Text: "h leaves", Rest: "h leaves"},
			},
		},
		{Pos: at(11), Title: "two", Head: map[string][]string{}, Lines: []script.Line{{Pos: at(12), Text: "wait 2s", Rest: "wait 2s"}}},
	}
	if !reflect.DeepEqual(all, want) {
		t.Errorf("read as\n%+v\nwant\n%+v", *all[0], *want[0])
	}
	if words := all[0].Lines[0].Words(); len(words) != 2 || words[1] != `"a ; b"` {
		t.Errorf("the words are %q", words)
	}
}

// TestParseErrors: what is wrong is said with its place.
func TestParseErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{example, `x.txt:7: the quote has no end: "no`},
		{"c> DAT", `x.txt:1: "c> DAT" stands before the first scenario`},
		{"rules: BRK-1", `x.txt:1: "rules" stands before the first scenario`},
		{"scenario:", "x.txt:1: a scenario has no title"},
		{"scenario: a", `x.txt:1: scenario "a" has no steps`},
		{"scenario: a\nc> DAT\nscenario: a", `x.txt:3: "a" is the title of line 1, too`},
		{"scenario: a\nrules: BRK1", `x.txt:2: "BRK1" is no rule's id, such as BRK-10`},
		{"scenario: a\nrules: BRK-1\nrules: BRK-1", `x.txt:3: "rules" stands in the head twice`},
		{"scenario: a\noptions: a\noptions: b", `x.txt:3: "options" stands in the head twice`},
		{"scenario: a\nrule: BRK-1", `x.txt:2: "rule" is no key of a head: want scenario, rules, options`},
		{"scenario: a\nc> DAT\nrules: BRK-1", `x.txt:3: "rules" stands behind the scenario's first step`},
		{"scenario: a\nc< DAT", `x.txt:2: "c< DAT": nothing can be received before anything is done`},
		{"scenario: a\nc>", `x.txt:2: "c>" does not say what`},
		{"scenario: a\nc> DAT => h> DAT", `x.txt:2: "h> DAT" stands behind =>, but nobody receives it`},
		{"scenario: a\nc> DAT\nh< DAT => h< DAT", `x.txt:3: "h< DAT" is received, so it has no =>`},
		{"scenario: a\nc> DAT =>", "x.txt:2: has nothing before or behind => or ;"},
		{"scenario: a\nc> DAT => ; h< DAT", "x.txt:2: has nothing before or behind => or ;"},
		{"scenario: a\n=> h< DAT", "x.txt:2: has nothing before or behind => or ;"},
		{"scenario: a\na => b< c => d", "x.txt:2: has => twice"},
		{"scenario: a => b", "x.txt:1: scenario: a: a head's line has no =>"},
		{"scenario: a\nc> {\"a\":[}", `x.txt:2: the bracket has no end: {"a":[}`},
	} {
		_, err := script.Parse("x.txt", tt.text, "options")
		if err == nil || err.Error() != tt.want {
			t.Errorf("%q\nis refused with %v\nwant          %s", tt.text, err, tt.want)
		}
		if _, ok := errors.AsType[*script.Error](err); !ok {
			t.Errorf("%q: the error is a %T", tt.text, err)
		}
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{
		"s/b.txt": {Data: []byte("scenario: two\nc> DAT")}, "s/a.txt": {Data: []byte("scenario: one\nc> DAT")}, "s/README.md": {},
	}
	all, err := script.Load(files, "s/*.txt")
	if err != nil || len(all) != 2 || all[0].String() != "a.txt:1" || all[1].Title != "two" {
		t.Errorf("loaded %v, %v", all, err)
	}
	if _, err := script.Load(files, "t/*.txt"); err == nil {
		t.Error("a folder without scripts is no error")
	}
	files["s/c.txt"] = &fstest.MapFile{Data: []byte("c> DAT")}
	if _, err := script.Load(files, "s/*.txt"); err == nil || !strings.HasPrefix(err.Error(), "c.txt:1: ") {
		t.Errorf("the error is %v", err)
	}
}

// FuzzParse: whatever the text, it is read or refused with a place in it; what is read
// can be written down and read again.
func FuzzParse(f *testing.F) {
	f.Add(example)
	f.Add("scenario: a\nclient> PAY 2 => handler< PAY 2 ; flow< active 0/2 # no\n x  # comment")
	f.Add("scenario: a\nx> raw 16 \"ZIO0FLOW{\\\"flow\\\":\\\"DAT\\\"}\" 18 00*24 | ff\nx<* {\"flow\":\"EOT\",\"error\":\"*\"}")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := script.Parse("x.txt", text, "options")
		if err != nil {
			fault, ok := errors.AsType[*script.Error](err)
			if !ok || fault.File != "x.txt" || fault.Line < 1 || fault.Line > strings.Count(text, "\n")+1 {
				t.Fatalf("%q is refused with %v", text, err)
			}
			return
		}
		var again strings.Builder
		for _, s := range all {
			again.WriteString("scenario: " + s.Title + "\n")
			for _, l := range s.Lines {
				again.WriteString(l.Text + "\n")
			}
		}
		twice, err := script.Parse("x.txt", again.String(), "options")
		if err != nil || len(twice) != len(all) {
			t.Fatalf("%q\nis read, but then %q\nis refused: %v", text, again.String(), err)
		}
		for i, s := range all {
			for j, l := range s.Lines {
				if got := twice[i].Lines[j]; got.Text != l.Text || got.Kind != l.Kind || got.Who != l.Who || got.Rest != l.Rest {
					t.Fatalf("%+v is read again as %+v", l, got)
				}
			}
		}
		if same := script.Rewrite(text, nil, nil); same != text {
			t.Fatalf("%q is rewritten to %q, without anything to write", text, same)
		}
	})
}
