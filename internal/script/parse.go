package script

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Pos is a place in a script.
type Pos struct {
	File string
	Line int // from 1
}

func (p Pos) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Scenario is one exchange.
type Scenario struct {
	Pos
	Title string
	// Rules are the ids of what it shows, such as BRK-10; may be empty.
	Rules []string
	// Head has the words under every other key of the scenario's head.
	Head map[string][]string
	// Lines are its steps, at least one, in their order.
	Lines []Line
}

// Kind is what a line is about.
type Kind int

// The kinds.
const (
	Event   Kind = iota // anything that is done but sending: its words are the player's
	Send                // WHO> …
	Receive             // WHO< …, and WHO<* … for what nobody else has sent
)

// Line is one thing that is done, or that must come.
type Line struct {
	Pos
	Kind Kind
	// Who sends or receives; empty for an Event.
	Who string
	// Own tells, of what is received, that it must not be another peer's message.
	Own bool
	// Text is the line without comment; Rest is what follows WHO and the sign in it.
	Text, Rest string
	// Beside tells that it stands in the line of what is done before it.
	Beside bool
}

// Words are the line's words, of an Event all of them, else those of Rest. A quoted text
// or a JSON object is one word.
func (l Line) Words() []string { return fields(l.Rest) }

func fields(text string) (list []string) {
	words, err := split(text)
	if err != nil {
		return strings.Fields(text) // it was split when it was read; what was put into it since is not quoted
	}
	for _, w := range words {
		list = append(list, w.text)
	}
	return list
}

// Error is what is wrong with a script.
type Error struct {
	Pos
	Err error
}

func (e *Error) Error() string { return e.String() + ": " + e.Err.Error() }

// Unwrap returns what is wrong.
func (e *Error) Unwrap() error { return e.Err }

func (p Pos) fault(format string, args ...any) error { return &Error{p, fmt.Errorf(format, args...)} }

var (
	headLine = regexp.MustCompile(`^([a-z]+):(?:\s+(.*))?$`)
	whoLine  = regexp.MustCompile(`^(\w+)(>|<\*|<)(?:\s+(.*))?$`)
	ruleID   = regexp.MustCompile(`^[A-Z]+-[1-9]\d*$`)
)

// Load reads the files of a pattern, in the order of their names. A position has a file's
// name without its folder. Beside `rules`, a head may have these keys.
func Load(from fs.FS, pattern string, keys ...string) ([]*Scenario, error) {
	names, err := fs.Glob(from, pattern)
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("there are no scripts %s (%w)", pattern, err)
	}
	var all []*Scenario
	for _, name := range names {
		text, err := fs.ReadFile(from, name)
		if err != nil {
			return nil, err
		}
		found, err := Parse(path.Base(name), string(text), keys...)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// Parse reads the scenarios of a file. Beside `rules`, a head may have these keys. An
// error is an *Error.
func Parse(file, text string, keys ...string) ([]*Scenario, error) {
	r := reader{keys: keys}
	for i, line := range strings.Split(text, "\n") {
		at := Pos{file, i + 1}
		found, err := parts(line)
		if err == nil && len(found) > 0 {
			err = r.line(at, found)
		}
		if err != nil {
			return nil, &Error{at, err}
		}
	}
	return r.all, r.finish()
}

// reader reads a file line by line.
type reader struct {
	keys []string
	all  []*Scenario
}

// line takes a line that is not empty.
func (r *reader) line(at Pos, found []part) error {
	first := found[0].text
	if head := headLine.FindStringSubmatch(first); head != nil {
		if len(found) > 1 {
			return fmt.Errorf("%s: a head's line has no %s", first, arrow)
		}
		return r.head(at, head[1], strings.TrimSpace(head[2]))
	}
	if len(r.all) == 0 {
		return fmt.Errorf("%q stands before the first scenario", cut(first))
	}
	s := r.all[len(r.all)-1]
	for _, p := range found {
		l := parseLine(at, p)
		switch {
		case l.Kind == Receive && l.Rest == "", l.Kind == Send && l.Rest == "":
			return fmt.Errorf("%q does not say what", cut(p.text))
		case l.Beside && l.Kind != Receive:
			return fmt.Errorf("%q stands behind %s, but nobody receives it", cut(p.text), arrow)
		case l.Kind == Receive && !l.Beside && len(found) > 1:
			return fmt.Errorf("%q is received, so it has no %s", cut(p.text), arrow)
		}
		s.Lines = append(s.Lines, l)
	}
	return nil
}

func parseLine(at Pos, p part) Line {
	l := Line{Pos: at, Text: p.text, Rest: p.text, Beside: p.beside}
	if found := whoLine.FindStringSubmatch(p.text); found != nil {
		l.Who, l.Rest, l.Kind, l.Own = found[1], found[3], Receive, found[2] == "<*"
		if found[2] == ">" {
			l.Kind = Send
		}
	}
	return l
}

func (r *reader) head(at Pos, key, value string) error {
	if key == "scenario" {
		if value == "" {
			return fmt.Errorf("a scenario has no title")
		}
		for _, other := range r.all {
			if other.Title == value {
				return fmt.Errorf("%q is the title of line %d, too", value, other.Line)
			}
		}
		r.all = append(r.all, &Scenario{Pos: at, Title: value, Head: map[string][]string{}})
		return nil
	}
	if len(r.all) == 0 {
		return fmt.Errorf("%q stands before the first scenario", key)
	}
	s := r.all[len(r.all)-1]
	_, twice := s.Head[key]
	switch {
	case len(s.Lines) > 0:
		return fmt.Errorf("%q stands behind the scenario's first step", key)
	case twice, key == "rules" && s.Rules != nil:
		return fmt.Errorf("%q stands in the head twice", key)
	case key == "rules":
		return s.rules(value)
	case !slices.Contains(r.keys, key):
		return fmt.Errorf("%q is no key of a head: want scenario, rules%s", key, strings.Join(append([]string{""}, r.keys...), ", "))
	}
	s.Head[key] = fields(value)
	return nil
}

func (s *Scenario) rules(value string) error {
	s.Rules = fields(value)
	for _, id := range s.Rules {
		if !ruleID.MatchString(id) {
			return fmt.Errorf("%q is no rule's id, such as BRK-10", id)
		}
	}
	return nil
}

func (r *reader) finish() error {
	for _, s := range r.all {
		if len(s.Lines) == 0 {
			return s.fault("scenario %q has no steps", s.Title)
		}
		if first := s.Lines[0]; first.Kind == Receive {
			return first.fault("%q: nothing can be received before anything is done", cut(first.Text))
		}
	}
	return nil
}
