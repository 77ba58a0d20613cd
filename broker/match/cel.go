// Package match decides which BOTs a route or a listener takes.
package match

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"

	"github.com/zioflow/gateway/broker/matching"
)

// CEL is a compiled expression. It implements matching.Match and
// matching.Explainer, and may be used concurrently.
type CEL struct {
	text    string
	ast     *cel.Ast
	program cel.Program
}

// environment declares what an expression may name.
var environment = func() *cel.Env {
	env, err := cel.NewEnv(append(bounded(),
		cel.EnableMacroCallTracking(), // so that a part can be shown as it was written
		cel.Variable("attributes", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("direction", cel.StringType),
		cel.Variable("credit", cel.IntType),
		cel.Variable("peer.transport", cel.StringType),
		cel.Variable("peer.address", cel.StringType),
		cel.Variable("peer.identity", cel.StringType),
		cel.Variable("peer.name", cel.StringType),
	)...)
	if err != nil { // a mistake in the lines above
		panic(err)
	}
	return env
}()

// variables are a view's values of what environment declares.
func variables(v *matching.View) map[string]any {
	return map[string]any{
		"attributes":     v.Attributes(),
		"direction":      v.Direction.String(),
		"credit":         v.Credit,
		"peer.transport": v.Peer.Transport,
		"peer.address":   v.Peer.Address,
		"peer.identity":  v.Peer.Identity,
		"peer.name":      v.Peer.Name,
	}
}

// Compile reads a CEL expression over attributes (the BOT's flow object as a
// map), direction (the handler's), credit, peer.transport, peer.address,
// peer.identity and peer.name. The error names position and cause.
func Compile(expression string) (*CEL, error) { return compileMatch(expression, costLimit) }

// CompileRight is Compile for what an identity may do, which is asked for where
// messages are received: it may cost a tenth.
func CompileRight(expression string) (*CEL, error) { return compileMatch(expression, rightLimit) }

func compileMatch(expression string, limit uint64) (*CEL, error) {
	ast, program, err := compileIn(environment, expression, limit)
	if err != nil {
		return nil, fmt.Errorf("match expression: %w", err)
	}
	return &CEL{expression, ast, program}, nil
}

// maxIssues is how many errors of one expression are told.
const maxIssues = 3

// loneEquals is how CEL says that there is a = by itself, which it does not have.
const loneEquals = "Syntax error: token recognition error at: '="

// positions is what is wrong with an expression, as "line:column: cause".
func positions(issues *cel.Issues) error {
	var words []string
	for i, issue := range issues.Errors() {
		if i == maxIssues {
			words = append(words, "…")
			break
		}
		if strings.HasPrefix(issue.Message, loneEquals) { // what follows is about what it makes of the rest
			words = append(words, fmt.Sprintf("%d:%d: to compare is ==, not =", issue.Location.Line(), issue.Location.Column()+1))
			break
		}
		words = append(words, fmt.Sprintf("%d:%d: %s", issue.Location.Line(), issue.Location.Column()+1, issue.Message))
	}
	return errors.New(strings.Join(words, "; "))
}

// String is the expression as it was given.
func (c *CEL) String() string { return c.text }

// Match implements matching.Match. What can't be evaluated, such as an attribute
// that the BOT does not have, is false.
func (c *CEL) Match(v *matching.View) bool {
	matched, err := truth(c.program, variables(v))
	return err == nil && matched
}

func truth(program cel.Program, values map[string]any) (bool, error) {
	result, _, err := program.Eval(values)
	if err != nil {
		return false, err
	}
	matched, ok := result.Value().(bool)
	if !ok {
		return false, fmt.Errorf("is %s, want true or false", shown(result.Value()))
	}
	return matched, nil
}
