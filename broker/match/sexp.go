package match

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// expression is a part of a rule: a list, an identifier, or a constant.
type expression struct {
	text  string       // as it was written, for explanations
	apply operation    // of a list; nil for an atom
	args  []expression // of a list
	every bool         // of a list that is true only if all its args are
	name  string       // of an identifier
	value any          // of a constant: bool, string, *big.Int or float64
}

// maxDepth bounds how deep a rule's lists may lie within each other.
const maxDepth = 100

// parseRule reads one S-expression, such as (and (= stream 'raw') (< run 10)).
// The error names position and cause.
//
//	expression = "(" operator expression { expression } ")" | atom
//	atom       = "true" | "false" | string | number | identifier
//
// A list's first word is its operator, so an identifier may begin like one, or
// be one, anywhere else.
func parseRule(text string) (expression, error) {
	if !utf8.ValidString(text) {
		return expression{}, errors.New("is no UTF-8")
	}
	p := parser{text: text}
	e, err := p.expression(0)
	if err == nil {
		if p.space(); p.pos < len(text) {
			err = fmt.Errorf("%q follows the expression", cut(text[p.pos:], 20))
		}
	}
	if err != nil {
		line := 1 + strings.Count(text[:p.pos], "\n")
		column := 1 + utf8.RuneCountInString(text[strings.LastIndexByte(text[:p.pos], '\n')+1:p.pos])
		return expression{}, fmt.Errorf("%d:%d: %w", line, column, err)
	}
	return e, nil
}

// parser reads an S-expression. On an error, pos is where it was seen.
type parser struct {
	text string
	pos  int
}

func (p *parser) space() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

func (p *parser) expression(depth int) (expression, error) {
	p.space()
	start := p.pos
	if p.pos == len(p.text) {
		return expression{}, errors.New("an expression is missing")
	}
	var (
		e   expression
		err error
	)
	switch c := p.text[p.pos]; {
	case c == '(' && depth == maxDepth:
		return e, fmt.Errorf("more than %d lists lie within each other", maxDepth)
	case c == '(':
		p.pos++
		e, err = p.list(depth + 1)
	case c == '"' || c == '\'':
		e, err = p.quoted()
	default:
		e, err = p.word()
	}
	e.text = p.text[start:p.pos]
	return e, err
}

// list reads a list behind its parenthesis.
func (p *parser) list(depth int) (e expression, err error) {
	p.space()
	start := p.pos
	name := p.token()
	op, known := ruleOperators[name]
	if !known {
		p.pos = start
		if name == "" {
			return e, errors.New("an operator is missing")
		}
		return e, fmt.Errorf("%q is no operator", cut(name, 20))
	}
	e.apply, e.every = op.apply, op.every
	for {
		if p.space(); p.pos == len(p.text) {
			return e, errors.New("a closing parenthesis is missing")
		}
		if p.text[p.pos] == ')' {
			p.pos++
			break
		}
		arg, err := p.expression(depth)
		if err != nil {
			return e, err
		}
		e.args = append(e.args, arg)
	}
	if n := len(e.args); n < op.least || op.most > 0 && n > op.most {
		p.pos = start
		return e, fmt.Errorf("%s has %d operands, wants %s", name, n, op.wants())
	}
	return e, nil
}

// token is the text up to the next space, parenthesis or quote.
func (p *parser) token() string {
	end := strings.IndexAny(p.text[p.pos:], " \t\r\n()'\"")
	if end < 0 {
		end = len(p.text) - p.pos
	}
	token := p.text[p.pos : p.pos+end]
	p.pos += end
	return token
}

// quoted reads a string, in either quotes. There is no escape: a string in one
// kind of quotes may hold the other.
func (p *parser) quoted() (expression, error) {
	quote := p.text[p.pos : p.pos+1]
	value, _, closed := strings.Cut(p.text[p.pos+1:], quote)
	if !closed {
		return expression{}, errors.New("a closing quote is missing")
	}
	p.pos += len(value) + 2
	return expression{value: value}, nil
}

// word reads a boolean, a number or an identifier.
func (p *parser) word() (expression, error) {
	start := p.pos
	token := p.token()
	switch {
	case strings.EqualFold(token, "true"):
		return expression{value: true}, nil
	case strings.EqualFold(token, "false"):
		return expression{value: false}, nil
	case isIdentifier(token):
		return expression{name: token}, nil
	}
	if value, ok := parseNumber(token); ok {
		return expression{value: value}, nil
	}
	p.pos = start
	if token == "" { // a parenthesis
		token = p.text[start : start+1]
	}
	return expression{}, fmt.Errorf("%q is no string, number or attribute's name", cut(token, 20))
}

func isIdentifier(token string) bool {
	for i, c := range []byte(token) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return token != ""
}

// maxDigits bounds a number's text, so that reading it is cheap.
const maxDigits = 40

// parseNumber reads digits, with a sign or a fraction if there are any.
func parseNumber(token string) (any, bool) {
	digits := strings.TrimPrefix(token, "-")
	whole, fraction, hasFraction := strings.Cut(digits, ".")
	if !isDigits(whole) || hasFraction && !isDigits(fraction) || len(token) > maxDigits {
		return nil, false
	}
	if !hasFraction {
		return new(big.Int).SetString(token, 10)
	}
	value, err := strconv.ParseFloat(token, 64)
	return value, err == nil
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// names adds the identifiers in an expression, each once.
func (e *expression) names(to *[]string) {
	if e.name != "" && !slices.Contains(*to, e.name) {
		*to = append(*to, e.name)
	}
	for i := range e.args {
		e.args[i].names(to)
	}
}
