package match

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/ledger"
	"github.com/zioflow/gateway/broker/zio"
)

// knownWords are the values that some variables of a filter can have. All of them but
// direction and state may be empty as well.
var knownWords = map[string][]string{
	"state":      {stateNames[flow.Pending], stateNames[flow.Active], stateNames[flow.HalfClosed], stateNames[flow.Ended]},
	"direction":  {zio.Extract.String(), zio.Inject.String()},
	"held_up_by": {ledger.ByGiver.String(), ledger.ByTaker.String(), ledger.ByGateway.String(), ""},
	"reason":     append(reasonWords(), ""),
}

func reasonWords() (words []string) {
	for _, r := range flow.Reasons() {
		words = append(words, r.String())
	}
	return words
}

// checkWords refuses a comparison of a variable with a text that it never has: that is a
// slip, and would select nothing, or all.
func checkWords(compiled *ast.AST) error {
	var wrong error
	ast.PostOrderVisit(compiled.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind || len(e.AsCall().Args()) != 2 || wrong != nil {
			return
		}
		left, right := e.AsCall().Args()[0], e.AsCall().Args()[1]
		var texts []ast.Expr
		switch e.AsCall().FunctionName() {
		case operators.Equals, operators.NotEquals:
			if right.Kind() == ast.IdentKind {
				left, right = right, left
			}
			texts = []ast.Expr{right}
		case operators.In:
			if right.Kind() == ast.ListKind {
				texts = right.AsList().Elements()
			}
		}
		if left.Kind() != ast.IdentKind {
			return
		}
		known := knownWords[left.AsIdent()]
		for _, text := range texts {
			if word, is := constant(text); is && known != nil && !slices.Contains(known, word) {
				at := compiled.SourceInfo().GetStartLocation(text.ID())
				wrong = fmt.Errorf("%d:%d: %s is never %q, but one of %s", at.Line(), at.Column()+1, left.AsIdent(), word, quoted(known))
				return
			}
		}
	}))
	return wrong
}

// constant is the text that an expression is, if it is one.
func constant(e ast.Expr) (text string, is bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	text, is = e.AsLiteral().Value().(string)
	return text, is
}

func quoted(words []string) string {
	list := make([]string, len(words))
	for i, word := range words {
		list[i] = fmt.Sprintf("%q", word)
	}
	return strings.Join(list, ", ")
}
