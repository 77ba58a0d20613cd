package match

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"

	"github.com/zioflow/gateway/broker/zio"
)

// Bounds of an expression. They are for those that strangers give: one that
// reaches all of them takes some 0.2 s to compile, once, and a few milliseconds to
// evaluate.
const (
	// MaxExpression is how long an expression may be, in bytes.
	MaxExpression = 4096
	// maxNesting is how deep its parts may lie within each other: what checking
	// their types costs grows with the third power of that.
	maxNesting = 24
	// maxNodes is how many parts it may have when its macros are written out.
	maxNodes = 1500

	// costLimit bounds one evaluation, in CEL's units of some 0.2 µs: a list of a
	// thousand elements walked once. What costs more does not match.
	costLimit = 10_000
	// rightLimit bounds the evaluation of a right, which is asked for where
	// messages are received.
	rightLimit = 1_000

	// maxPattern is how many instructions a regular expression may be compiled to,
	// and maxSteps how many may be tried in one text: instructions by characters.
	maxPattern = 1000
	maxSteps   = 200_000
)

// bounded are the options of an environment whose expressions strangers give.
func bounded() []cel.EnvOption {
	return []cel.EnvOption{
		cel.CrossTypeNumericComparisons(true),
		cel.ParserRecursionLimit(maxNesting),
		cel.ExpressionNodeLimit(maxNodes),
		cel.CustomTypeAdapter(adapter{types.DefaultTypeAdapter}),
	}
}

// adapter has an attribute that was not read be an error: an expression that asks
// for it has no value.
type adapter struct{ types.Adapter }

// NativeToValue implements types.Adapter.
func (a adapter) NativeToValue(value any) ref.Val {
	if unread, is := value.(zio.Unread); is {
		return types.NewErr("%s", string(unread))
	}
	return a.Adapter.NativeToValue(value)
}

// compileIn compiles an expression, of which no evaluation costs more than limit.
func compileIn(env *cel.Env, expression string, limit uint64) (*cel.Ast, cel.Program, error) {
	if n := len(expression); n > MaxExpression {
		return nil, nil, fmt.Errorf("has %d bytes, %d are allowed", n, MaxExpression)
	}
	compiled, issues := env.Compile(expression)
	if issues.Err() != nil {
		return nil, nil, positions(issues)
	}
	if t := compiled.OutputType(); t != cel.BoolType && t != cel.DynType {
		return nil, nil, fmt.Errorf("is of type %v, want bool", t)
	}
	program, err := programOf(env, compiled, limit)
	return compiled, program, err
}

func programOf(env *cel.Env, compiled *cel.Ast, limit uint64) (cel.Program, error) {
	patterns, err := patternsOf(compiled.NativeRep().Expr())
	if err != nil {
		return nil, err
	}
	return env.Program(compiled, cel.CostLimit(limit), cel.CostTracking(price{patterns}),
		cel.OptimizeRegex(&interpreter.RegexOptimization{Function: "matches", RegexIndex: 1, Factory: patterns.call}))
}

// patterns are an expression's regular expressions by their text.
type patterns map[string]*pattern

type pattern struct {
	*regexp.Regexp
	size int // instructions
}

// patternsOf compiles the patterns of all calls of `matches` in an expression. One
// that is not written there could be a client's, and so of any cost.
func patternsOf(expression ast.Expr) (patterns, error) {
	found := patterns{}
	var wrong error
	ast.PostOrderVisit(expression, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != "matches" || len(e.AsCall().Args()) == 0 {
			return
		}
		args := e.AsCall().Args()
		last := args[len(args)-1]
		if last.Kind() != ast.LiteralKind || last.AsLiteral().Type() != types.StringType {
			wrong = errors.Join(wrong, errors.New("the pattern of matches must be a text that is written out"))
			return
		}
		text, _ := last.AsLiteral().Value().(string)
		compiled, err := compilePattern(text)
		if err != nil {
			wrong = errors.Join(wrong, err)
			return
		}
		found[text] = compiled
	}))
	return found, wrong
}

func compilePattern(text string) (*pattern, error) {
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	if n := len(program.Inst); n > maxPattern {
		return nil, fmt.Errorf("a pattern of matches is too large: %d steps, %d are allowed", n, maxPattern)
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	return &pattern{compiled, len(program.Inst)}, nil
}

// steps bounds what matching a text of that length takes.
func (p *pattern) steps(length int) uint64 { return uint64(p.size) * uint64(length+1) }

// call makes calls of `matches` bounded ones.
func (p patterns) call(call interpreter.InterpretableCall, text string) (interpreter.InterpretableCall, error) {
	compiled := p[text]
	if compiled == nil { // cannot be: patternsOf has seen it
		return nil, errors.New("a pattern of matches is not known")
	}
	return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), func(values ...ref.Val) ref.Val {
		in, ok := values[0].(types.String)
		if !ok {
			return types.MaybeNoSuchOverloadErr(values[0])
		}
		if compiled.steps(len(in)) > maxSteps {
			return types.NewErr("a text of %d bytes is too long for the pattern %q", len(in), text)
		}
		return types.Bool(compiled.MatchString(string(in)))
	}), nil
}

// price is what calls cost by the sizes of what they look at. It implements
// interpreter.ActualCostEstimator. CEL's own prices leave out operators whose
// operands' types are known only when they are evaluated, as those of all
// attributes are.
type price struct{ patterns patterns }

// walking are the functions that look into lists and maps.
var walking = map[string]bool{
	operators.Equals: true, operators.NotEquals: true, operators.In: true, operators.OldIn: true, operators.Add: true,
}

// bytesPerUnit is how many bytes of a text are looked at, or copied, in a unit.
const bytesPerUnit = 64

// CallCost implements interpreter.ActualCostEstimator.
func (p price) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	cost := uint64(1)
	if function == "matches" && len(args) == 2 {
		in, _ := args[0].(types.String)
		text, _ := args[1].(types.String)
		if compiled := p.patterns[string(text)]; compiled != nil {
			cost += min(compiled.steps(len(in)), maxSteps) / 10
		}
		return &cost
	}
	if len(args) == 2 && args[1] != nil && args[1].Type() == types.StringType && args[0].Type() == types.TimestampType {
		cost += 500 // looks up a time zone
	}
	for _, arg := range append(args[:len(args):len(args)], result) {
		cost += weigh(arg, walking[function])
	}
	return &cost
}

// maxWeighed is how many values of a list or map are counted one by one.
const maxWeighed = 2 * costLimit

// weigh is what looking at a value costs, at all that is in it if deep.
func weigh(value ref.Val, deep bool) uint64 {
	cost, left := uint64(0), maxWeighed
	var visit func(ref.Val)
	visit = func(value ref.Val) {
		if left--; left < 0 {
			return
		}
		switch v := value.(type) {
		case types.String:
			cost += uint64(len(v)) / bytesPerUnit
		case types.Bytes:
			cost += uint64(len(v)) / bytesPerUnit
		case traits.Lister:
			for it := v.Iterator(); deep && left >= 0 && it.HasNext() == types.True; {
				cost++
				visit(it.Next())
			}
		case traits.Mapper:
			for it := v.Iterator(); deep && left >= 0 && it.HasNext() == types.True; {
				key := it.Next()
				cost++
				visit(key)
				if element, found := v.Find(key); found {
					visit(element)
				}
			}
		}
	}
	visit(value)
	return cost
}
