// Package match decides which BOTs a route or a listener takes.
package match

import (
	"bytes"
	"encoding/json"
	"fmt"

	"cel.dev/cel-go/cel"

	"github.com/zioflow/gateway/broker"
)

// CEL is a compiled expression. It may be used concurrently.
type CEL struct {
	program cel.Program
}

// costLimit bounds one evaluation, in CEL's own units: a label of a few KiB
// walked a few times. What costs more does not match.
const costLimit = 100_000

// environment declares what an expression may name.
var environment = func() *cel.Env {
	env, err := cel.NewEnv(
		cel.CrossTypeNumericComparisons(true),
		cel.Variable("attributes", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("direction", cel.StringType),
		cel.Variable("credit", cel.IntType),
		cel.Variable("peer.transport", cel.StringType),
		cel.Variable("peer.address", cel.StringType),
		cel.Variable("peer.identity", cel.StringType),
	)
	if err != nil { // a mistake in the lines above
		panic(err)
	}
	return env
}()

// Compile reads a CEL expression over attributes (the BOT's flow object as a
// map), direction (the handler's), credit, peer.transport, peer.address and
// peer.identity. The error names position and cause.
func Compile(expression string) (*CEL, error) {
	ast, issues := environment.Compile(expression)
	if err := issues.Err(); err != nil {
		return nil, fmt.Errorf("match expression: %w", err)
	}
	if ast.OutputType() != cel.BoolType && ast.OutputType() != cel.DynType {
		return nil, fmt.Errorf("match expression: is of type %v, want bool", ast.OutputType())
	}
	program, err := environment.Program(ast, cel.CostLimit(costLimit))
	if err != nil {
		return nil, fmt.Errorf("match expression: %w", err)
	}
	return &CEL{program}, nil
}

// Match implements broker.Match. What can't be evaluated, such as an attribute
// that the BOT does not have, is false.
func (c *CEL) Match(v *broker.View) bool {
	result, _, err := c.program.Eval(map[string]any{
		"attributes":     Attributes(v.Label),
		"direction":      v.Direction.String(),
		"credit":         v.Credit,
		"peer.transport": v.Peer.Transport,
		"peer.address":   v.Peer.Address,
		"peer.identity":  v.Peer.Identity,
	})
	if err != nil {
		return false
	}
	matched, ok := result.Value().(bool)
	return ok && matched
}

// Attributes is a BOT's flow object as a map; integers stay integers.
func Attributes(label []byte) map[string]any {
	decoder := json.NewDecoder(bytes.NewReader(label))
	decoder.UseNumber()
	var attributes map[string]any
	if err := decoder.Decode(&attributes); err != nil {
		return map[string]any{}
	}
	for key, value := range attributes {
		attributes[key] = plain(value)
	}
	return attributes
}

// plain turns the json.Numbers in a value into int64, uint64 or float64.
func plain(value any) any {
	switch v := value.(type) {
	case json.Number:
		return number(v)
	case map[string]any:
		for key, inner := range v {
			v[key] = plain(inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = plain(inner)
		}
	}
	return value
}

func number(n json.Number) any {
	if i, err := n.Int64(); err == nil {
		return i
	}
	var u uint64
	if err := json.Unmarshal([]byte(n), &u); err == nil {
		return u
	}
	f, err := n.Float64()
	if err != nil {
		return string(n) // beyond every number that can be compared
	}
	return f
}
