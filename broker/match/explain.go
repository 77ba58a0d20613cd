package match

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"github.com/zioflow/gateway/broker/matching"
)

// Explain implements matching.Explainer. It names the part of the expression that
// is not true, and what that part is about.
func (c *CEL) Explain(v *matching.View) string {
	matched, err := truth(c.program, variables(v))
	switch {
	case err == nil && matched:
		return "is true"
	case err != nil && strings.Contains(err.Error(), "cost limit"):
		return "is false: takes too long to evaluate"
	}
	e := explanation{source: c.ast.NativeRep().SourceInfo(), values: variables(v)}
	return e.why(c.ast.NativeRep().Expr())
}

// explanation evaluates the parts of an expression one by one.
type explanation struct {
	source *ast.SourceInfo
	values map[string]any
}

// why says why a part is not true.
func (e *explanation) why(part ast.Expr) string {
	if part.Kind() == ast.CallKind {
		call := part.AsCall()
		switch call.FunctionName() {
		case operators.LogicalAnd:
			for _, operand := range call.Args() {
				if matched, err := e.eval(operand); err != nil || !matched {
					return e.why(operand)
				}
			}
		case operators.LogicalOr:
			words := make([]string, len(call.Args()))
			for i, operand := range call.Args() {
				words[i] = e.why(operand)
			}
			return strings.Join(words, ", and ")
		}
	}
	_, err := e.eval(part)
	paths := e.paths(part)
	if err != nil {
		for _, path := range paths {
			if _, missing := e.value(path); missing {
				return path + " is missing"
			}
		}
		return fmt.Sprintf("%s: %v", cut(e.text(part), maxText), err)
	}
	words := fmt.Sprintf("%s is false", cut(e.text(part), maxText))
	for i, path := range paths {
		if i == maxPaths {
			break
		}
		if value, missing := e.value(path); !missing && path != e.text(part) {
			words += fmt.Sprintf("%s %s is %s", []string{":", ","}[min(i, 1)], path, shown(value))
		}
	}
	return words
}

// Bounds of an explanation: the text of a part or a value, in bytes, and how many
// values are shown.
const (
	maxText  = 200
	maxPaths = 3
)

func (e *explanation) text(part ast.Expr) string {
	text, err := cel.ExprToString(part, e.source)
	if err != nil { // cannot be: it was read from a text
		return "a part"
	}
	return text
}

// compile compiles a part, which may be of any type.
func (*explanation) compile(part string) (cel.Program, error) {
	ast, issues := environment.Compile(part)
	if issues.Err() != nil {
		return nil, positions(issues)
	}
	return programOf(environment, ast, costLimit)
}

func (e *explanation) eval(part ast.Expr) (bool, error) {
	program, err := e.compile(e.text(part))
	if err != nil {
		return false, err
	}
	return truth(program, e.values)
}

// value returns what a path leads to.
func (e *explanation) value(path string) (value any, missing bool) {
	program, err := e.compile(path)
	if err != nil {
		return nil, false
	}
	result, _, err := program.Eval(e.values)
	if err != nil {
		return nil, strings.Contains(err.Error(), "no such key")
	}
	return result.Value(), false
}

// paths returns what a part names, such as attributes.stream, with what lies on
// the way before what lies behind it. The whole of attributes is left out, and
// what has() asks for.
func (e *explanation) paths(part ast.Expr) (paths []string) {
	add := func(more ...string) {
		for _, path := range more {
			if !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	}
	switch part.Kind() {
	case ast.IdentKind:
		if part.AsIdent() != "attributes" {
			add(e.text(part))
		}
	case ast.SelectKind:
		if part.AsSelect().IsTestOnly() {
			return nil
		}
		add(e.paths(part.AsSelect().Operand())...)
		add(e.text(part))
	case ast.CallKind:
		call := part.AsCall()
		if call.IsMemberFunction() {
			add(e.paths(call.Target())...)
		}
		for _, operand := range call.Args() {
			add(e.paths(operand)...)
		}
		if call.FunctionName() == operators.Index {
			add(e.text(part))
		}
	case ast.ListKind:
		for _, element := range part.AsList().Elements() {
			add(e.paths(element)...)
		}
	case ast.ComprehensionKind:
		add(e.paths(part.AsComprehension().IterRange())...)
	}
	return paths
}

// shown is a value as JSON has it.
func shown(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return cut(fmt.Sprint(value), maxText)
	}
	return cut(string(text), maxText)
}

// cut shortens a text to n bytes, in whole characters.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}
