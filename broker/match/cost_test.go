package match_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/zioflow/gateway/broker/match"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/zio"
)

// hostileView is a BOT of a client that wants matching to cost much.
func hostileView() *matching.View {
	return &matching.View{
		Label: []byte(`{"x":"` + strings.Repeat("a", 30_000) + `b","l":[` + strings.Repeat("1,", 3000) + `1],` +
			`"nan":NaN,"short":"raw-17"}`),
		Direction: zio.Inject, Credit: 4,
	}
}

// TestEvaluationIsBounded: each of these would be true if it were evaluated to its
// end, which without bounds takes from half a second to many.
func TestEvaluationIsBounded(t *testing.T) {
	t.Parallel()
	digits := "[0,1,2,3,4,5,6,7,8,9]"
	for name, expression := range map[string]string{
		"nested lists":     fmt.Sprintf("!%[1]s.exists(a, %[1]s.exists(b, %[1]s.exists(c, %[1]s.exists(d, %[1]s.exists(e, a+b+c+d+e == 99)))))", digits),
		"a list in itself": "attributes.l.all(x, attributes.l.all(y, x + y >= 0))",
		"equal lists":      strings.Repeat("attributes.l == attributes.l && ", 100) + "true",
		"membership":       strings.Repeat("!(2 in attributes.l) && ", 100) + "true",
		"joined texts":     "(" + strings.Repeat("attributes.x + ", 20) + "'').size() > 1",
		"searched texts":   strings.Repeat("!attributes.x.contains('aac') && ", 100) + "true",
		"a pattern":        "attributes.x.matches('(((a{0,9}){0,40})b)+$')",
		"many patterns":    strings.Repeat("attributes.short.matches('^(r|a|w)+-(1|7|x){1,200}$') && ", 60) + "true",
		"built lists":      "size(" + strings.Repeat("[0,0].map(a,", 13) + "1" + strings.Repeat(")", 13) + ") > 0",
	} {
		compiled, err := match.Compile(expression)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if compiled.Match(hostileView()) {
			t.Errorf("%s: was evaluated to its end", name)
		}
	}
}

// TestOrdinaryExpressionsAreCheap: the bounds, also those of rights, are far from
// what a route needs.
func TestOrdinaryExpressionsAreCheap(t *testing.T) {
	t.Parallel()
	for _, expression := range []string{
		`attributes.short.matches('^raw-[0-9]+$')`,
		`attributes.short.startsWith("raw") && direction == 'inject' && credit in [1, 2, 3, 4]`,
		`attributes.short == 'raw-17' || attributes.l.exists(x, x == 2)`,
		strings.Repeat("attributes.short == 'raw-17' && ", 20) + "peer.name == ''",
	} {
		for kind, compile := range map[string]func(string) (*match.CEL, error){"match": match.Compile, "right": match.CompileRight} {
			compiled, err := compile(expression)
			if err != nil {
				t.Fatal(err)
			}
			if !compiled.Match(hostileView()) {
				t.Errorf("%s is false as a %s", expression, kind)
			}
		}
	}
}

func TestRightsAreCheaper(t *testing.T) {
	t.Parallel()
	const expression = "!attributes.l.exists(x, x == 2)"
	right, err := match.CompileRight(expression)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := match.Compile(expression)
	if err != nil {
		t.Fatal(err)
	}
	view := &matching.View{Label: []byte(`{"l":[` + strings.Repeat("1,", 500) + `1]}`)}
	if right.Match(view) || !whole.Match(view) {
		t.Errorf("500 elements: a right is %v, a match %v; want false, true", right.Match(view), whole.Match(view))
	}
}

// TestCompilationIsBounded: what would take long to read is refused by its length,
// its depth or the number of its parts.
func TestCompilationIsBounded(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		strings.Repeat("true || ", 1<<17) + "true":                     "has 1048580 bytes, 4096 are allowed",
		"attributes" + strings.Repeat(".a", 100):                       "recursion",
		strings.Repeat("[", 40) + strings.Repeat("]", 40) + " == []":   "recursion",
		strings.Repeat("[0].exists(a,a==1)||", 190) + "true":           "expression count exceeds limit",
		"attributes.x.matches(attributes.y)":                           "must be a text that is written out",
		"attributes.x.matches('(((a{0,9}){0,9}){0,9}){0,1}b{0,300}')":  "is too large",
		"attributes.x.matches('(((((a{0,9}){0,9}){0,9}){0,9}){0,9})')": "invalid repeat count",
		"attributes.x.matches('(')":                                    "missing closing )",
	} {
		if _, err := match.Compile(expression); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %v, want %q", expression, err, want)
		}
		if _, err := match.CompileFilter(expression); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("filter %.60s: got %v, want %q", expression, err, want)
		}
	}
}

// TestUnreadAttributesAreNoValue: an expression that asks for what was not read is
// false, others are as they are.
func TestUnreadAttributesAreNoValue(t *testing.T) {
	t.Parallel()
	view := &matching.View{Label: []byte(`{"nan":NaN,"big":1e999,"twice":1,"twice":2,"ok":1}`), Direction: zio.Inject}
	for expression, want := range map[string]bool{
		`attributes.ok == 1`:                        true,
		`has(attributes.nan) && attributes.ok == 1`: true,
		`attributes.nan == attributes.nan`:          false,
		`attributes.nan != 1`:                       false,
		`attributes.big > 1`:                        false,
		`attributes.twice == 2`:                     false,
		`attributes.twice == 2 || direction != ''`:  true,
		`!has(attributes.missing)`:                  true,
	} {
		compiled, err := match.Compile(expression)
		if err != nil {
			t.Fatal(err)
		}
		if got := compiled.Match(view); got != want {
			t.Errorf("%s is %v (%s), want %v", expression, got, compiled.Explain(view), want)
		}
	}
	for rule, want := range map[string]bool{`(= ok 1)`: true, `(= twice 2)`: false, `(!= nan 1)`: false, `(or (= big 1) (= ok 1))`: true} {
		compiled, err := match.ParseRules(t.Context(), ruleset(t, rule))
		if err != nil {
			t.Fatal(err)
		}
		if got := compiled.Match(view); got != want {
			t.Errorf("%s is %v (%s), want %v", rule, got, compiled.Explain(view), want)
		}
	}
}
