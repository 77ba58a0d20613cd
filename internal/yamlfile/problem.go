package yamlfile

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// widest is how many columns of a line are shown.
const widest = 100

// Problem is what is wrong at one place of a file.
type Problem struct {
	// File is the file's name. Line and Column begin with 1, columns count characters; 0
	// where the whole file is wrong.
	File         string
	Line, Column int
	// Err says what is wrong.
	Err error

	text string // the line
}

// Error implements error: file:line:column, and what is wrong there.
func (p *Problem) Error() string { return p.Place() + ": " + p.Err.Error() }

// Unwrap returns what is wrong.
func (p *Problem) Unwrap() error { return p.Err }

// Place is where it is, as file:line:column.
func (p *Problem) Place() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Excerpt is the line, and a caret below the place, for a terminal; empty where there is
// no line to show.
func (p *Problem) Excerpt() string {
	if p.Line == 0 {
		return ""
	}
	line, at := []rune(p.text), p.Column-1
	at = max(0, min(at, len(line)))
	if from := at - widest/2; from > 0 && len(line) > widest {
		line, at = append([]rune("…"), line[from:]...), at-from+1
	}
	if len(line) > widest {
		line = append(line[:widest-1:widest-1], '…')
	}
	below := make([]rune, at)
	for i, r := range line {
		if r != '\t' && !unicode.IsPrint(r) {
			line[i] = '\uFFFD'
		}
		if i < at {
			below[i] = ' '
			if r == '\t' {
				below[i] = '\t'
			}
		}
	}
	number := fmt.Sprintf("%5d", p.Line)
	return fmt.Sprintf("%s | %s\n%s | %s^", number, string(line), strings.Repeat(" ", len(number)), string(below))
}

// Problems are all that was found, in the order of the file.
type Problems []*Problem

// Error implements error: a line for each.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns each of them.
func (p Problems) Unwrap() []error {
	all := make([]error, len(p))
	for i, one := range p {
		all[i] = one
	}
	return all
}

// Err returns the problems as an error; nil if there are none.
func (p Problems) Err() error {
	switch len(p) {
	case 0:
		return nil
	case 1:
		return p[0]
	}
	return p
}

// Explain is an error for a terminal: in place of a line for each problem one with the
// excerpt of the file below it.
func Explain(err error) string {
	if all, ok := errors.AsType[Problems](err); ok {
		var text strings.Builder
		for i, one := range all {
			if i > 0 {
				text.WriteByte('\n')
			}
			text.WriteString(Explain(one))
		}
		return strings.Replace(err.Error(), all.Error(), text.String(), 1)
	}
	if excerpt := innermost(err); excerpt != "" {
		return err.Error() + "\n" + excerpt
	}
	return err.Error()
}

// innermost is the excerpt of the problem that is the cause of the others: a file that is
// wrong at a line is named at a line of another one.
func innermost(err error) (excerpt string) {
	for {
		p, ok := errors.AsType[*Problem](err)
		if !ok {
			return excerpt
		}
		if e := p.Excerpt(); e != "" {
			excerpt = e
		}
		err = p.Err
	}
}
