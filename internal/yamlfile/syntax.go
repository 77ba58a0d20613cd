package yamlfile

import (
	"errors"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// What is said of mistakes that the library has words for that nobody understands who does not
// know how YAML is read.
const (
	anotherColumn = "begins in another column than what it belongs to: indent both alike"
	needsQuotes   = "a text with this in it has to be in quotes"
	aTab          = "a tab does not indent: use spaces"
)

var noAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)

// syntax is an error of the library, with its place.
func (d *Document) syntax(err error) error {
	e, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		return &Problem{File: d.name, Err: err}
	}
	if words := d.inWords(e); words != "" {
		return d.problem(e.Mark.Line, e.Mark.Column, errors.New(words))
	}
	what := strings.NewReplacer("did not find expected", "want", "found unexpected", "unexpected", "node content", "a value").Replace(e.Message)
	line, column := e.Mark.Line, e.Mark.Column
	if e.ContextMsg != "" && e.ContextMark.Line > 0 {
		// Where it ends is of little use: the mistake is where it begins.
		what, line, column = e.ContextMsg+": "+what, e.ContextMark.Line, e.ContextMark.Column
		if e.Mark.Line != e.ContextMark.Line && strings.TrimSpace(d.line(e.Mark.Line)) != "" {
			line, column = e.Mark.Line, e.Mark.Column
		}
	}
	return d.problem(line, column, errors.New(what))
}

// inWords is what is wrong where the library's error has its mark; empty where that says it well
// enough.
func (d *Document) inWords(e *yaml.LoadError) string {
	before, rest := d.split(e.Mark.Line, e.Mark.Column)
	begins := strings.TrimLeft(before, " \t-") == "" // the line does, there
	switch e.Message {
	case "found character that cannot start any token":
		if strings.HasPrefix(rest, "\t") {
			return aTab
		}
		return "nothing can begin with this character: put the text in quotes"
	case "found a tab character where an indentation space is expected", "found a tab character that violates indentation":
		return aTab
	case "did not find expected key", "did not find expected '-' indicator", "did not find expected <document start>":
		if begins {
			return anotherColumn
		}
		return needsQuotes
	case "mapping values are not allowed in this context":
		if strings.Contains(before, ": ") {
			return needsQuotes
		}
		return anotherColumn
	case "found incompatible YAML document":
		return "is another version of YAML than 1.1 and 1.2"
	}
	if name := noAnchor.FindStringSubmatch(e.Message); name != nil {
		return "there is no anchor &" + name[1] + " before it; a text that begins with * has to be in quotes"
	}
	return ""
}

// line is one by its number; empty if there is none.
func (d *Document) line(number int) string {
	if number < 1 || number > len(d.lines) {
		return ""
	}
	return d.lines[number-1]
}

// split is a line before a column, which begin with 1, and from there.
func (d *Document) split(line, column int) (before, rest string) {
	text := []rune(d.line(line))
	at := max(0, min(column-1, len(text)))
	return string(text[:at]), string(text[at:])
}
