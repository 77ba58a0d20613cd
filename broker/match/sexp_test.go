package match_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/zioflow/gateway/broker/match"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/zio"
)

// ruleset is a ruleset of one rule.
func ruleset(t testing.TB, rule string) string {
	t.Helper()
	text, err := json.Marshal([]map[string]string{{"rule": rule}})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func ruleView() *matching.View {
	return &matching.View{
		Label: []byte(`{"flow":"BOT","direction":"extract","credit":4,"name":"Manfred","a":3,"b":2,"gain":1.5,"yes":true,` +
			`"none":null,"big":18446744073709551615,"level":1,"order":"row","network":"daq","equal":5,"tags":["x"],` +
			`"origin":99,"quote":"it's"}`),
		Direction: zio.Inject, Credit: 4,
		Coord: zio.Coord{Origin: 7, Granule: 1 << 63, Seqno: 0},
	}
}

func TestRule(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]bool{
		// ZIO's own examples.
		`(or 0 1)`:                           true,
		`true`:                               true,
		`True`:                               true,
		`false`:                              false,
		`(or (= a 5) (= b 2))`:               true,
		`(and (eq name 'Manfred') (eq b 2))`: true,
		`(and (= name 'Manfred') (or (= a 5) (= b 2)))`: true,
		`(== a (+ 1 b))`:      true,
		`(== name "Ada")`:     false,
		`(== name 'Manfred')`: true,
		`(!= name "Ada")`:     true,
		`(!= name "Manfred")`: false,
		`(| a b)`:             true,
		`(| (< a b) (> a b))`: true,
		`(& (= a 3) (= 2 b))`: true,
		`(!= name "name")`:    true,
		// Any number of operands.
		`(and yes (= a 3) (= b 2) (lt b a))`: true,
		`(or false (= a 9) (= b 2))`:         true,
		`(and yes)`:                          true,
		`(< 1 b a 4)`:                        true,
		`(< 1 a b 4)`:                        false,
		`(= 2 b (- a 1))`:                    true,
		`(= (sub 9 a b) 4)`:                  true,
		`(= (mul a b 2) (add a b 7))`:        true,
		// Booleans are booleans; numbers hold if they are not 0.
		`yes`:             true,
		`(= yes true)`:    true,
		`(= yes 1)`:       false,
		`(and 1 2)`:       true,
		`(= (= a 3) yes)`: true,
		`a`:               true,
		`(- a 3)`:         false,
		// Numbers of all kinds.
		`(= a 3.0)`:                    true,
		`(> gain 1)`:                   true,
		`(= gain (- 2 0.5))`:           true,
		`(= (* 2 gain) a)`:             true,
		`(= big 18446744073709551615)`: true,
		`(= big 18446744073709551616)`: false,
		`(> (+ big 1) big)`:            true,
		`(> a -3)`:                     true,
		`(= (* a -1) -3)`:              true,
		// Texts.
		`(< 'Ada' name 'Nina')`:                true,
		`(= (+ name '/' order) "Manfred/row")`: true,
		`(= quote "it's")`:                     true,
		// Names that begin like operators, and name operators.
		`(= level 1)`:       true,
		`(= order 'row')`:   true,
		`(= network "daq")`: true,
		`(= equal 5)`:       true,
		// What else a rule sees.
		`(= direction 'inject')`:          true,
		`(= flow 'BOT')`:                  true,
		`(= credit 4)`:                    true,
		`(= origin 7)`:                    true,
		`(= granule 9223372036854775808)`: true,
		`(= seqno 0)`:                     true,
		// What has no value is false, unless the rest decides.
		`missing`:                            false,
		`(= missing 1)`:                      false,
		`(!= missing 1)`:                     false,
		`(or (= missing 1) (= a 3))`:         true,
		`(or (= a 3) (= missing 1))`:         true,
		`(or (= missing 1) (= a 4))`:         false,
		`(and (= missing 1) (= a 3))`:        false,
		`(= (and missing (= a 4)) false)`:    true,
		`(< name 3)`:                         false,
		`(>= name 3)`:                        false,
		`(!= name 3)`:                        true,
		`(= name 3)`:                         false,
		`(= (+ name 3) 3)`:                   false,
		`(= tags tags)`:                      false,
		`(= none none)`:                      true,
		`(= none 0)`:                         false,
		`name`:                               false,
		" ( and\n\t( = a 3 )yes(= b 2))\r\n": true,
	} {
		compiled, err := match.ParseRules(t.Context(), ruleset(t, rule))
		if err != nil {
			t.Errorf("%s: %v", rule, err)
			continue
		}
		if got := compiled.Match(ruleView()); got != want {
			t.Errorf("%s is %v (%s), want %v", rule, got, compiled.Explain(ruleView()), want)
		}
	}
}

func TestRuleErrorsNamePositionAndCause(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]string{
		``:                                      `1:1: an expression is missing`,
		`(`:                                     `1:2: an operator is missing`,
		`()`:                                    `1:2: an operator is missing`,
		`(= a`:                                  `1:5: a closing parenthesis is missing`,
		`(= a 3`:                                `1:7: a closing parenthesis is missing`,
		`)`:                                     `1:1: ")" is no`,
		`(= a 3))`:                              `1:8: ")" follows the expression`,
		`(= a 3) (= b 2)`:                       `1:9: "(= b 2)" follows the expression`,
		`true false`:                            `1:6: "false" follows the expression`,
		`(= a)`:                                 `1:2: = has 1 operands, wants 2 or more`,
		`(!= a b a)`:                            `1:2: != has 3 operands, wants 2`,
		`(and)`:                                 `1:2: and has 0 operands, wants 1 or more`,
		`(/ a 3)`:                               `1:2: "/" is no operator`,
		`(div a 3)`:                             `1:2: "div" is no operator`,
		`(name 'x')`:                            `1:2: "name" is no operator`,
		`(AND true)`:                            `1:2: "AND" is no operator`,
		`(= name 'x)`:                           `1:9: a closing quote is missing`,
		"(and\n  (= ä 3))":                      `2:6: "ä" is no`,
		`(= a 0x3)`:                             `1:6: "0x3" is no`,
		`(= a 3.)`:                              `1:6: "3." is no`,
		`(= a +)`:                               `1:6: "+" is no`,
		`(= a 3e9)`:                             `1:6: "3e9" is no`,
		`(= a-b 3)`:                             `1:4: "a-b" is no`,
		strings.Repeat("(and ", 101):            `1:501: more than 100 lists lie within each other`,
		`(= a ` + strings.Repeat("9", 41) + `)`: `1:6: "99999999999999999999…" is no`,
	} {
		_, err := match.ParseRules(t.Context(), ruleset(t, rule))
		if err == nil || !strings.HasPrefix(err.Error(), "rule 1: rule: "+want) {
			t.Errorf("%s: got %v, want %q", rule, err, want)
		}
	}
}

func TestRuleBounds(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 30_000)
	for rule, want := range map[string]string{
		"(> (* " + strings.Repeat("big ", 100) + ") 1)":                  "a number becomes too large",
		"(= (+ long long long) 'x')":                                     "a text becomes too long",
		"(= " + strings.Repeat("long ", 200) + ")":                       "takes too long to evaluate",
		"(or " + strings.Repeat("(= a 4) ", 20_000) + "(= a 3))":         "takes too long to evaluate",
		"(= (+ '' " + strings.Repeat("(+ name name) ", 2000) + ") long)": "takes too long to evaluate",
		"(= gain " + strings.Repeat("1.5 ", 2000) + ")":                  "takes too long to evaluate",
	} {
		text, err := json.Marshal([]map[string]any{{"rule": rule, "attr": map[string]string{"long": long}}})
		if err != nil {
			t.Fatal(err)
		}
		compiled, err := match.ParseRules(t.Context(), string(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := compiled.Explain(ruleView()); got != "rule 1: "+want {
			t.Errorf("%.60s: got %q, want %q", rule, got, want)
		}
		if compiled.Match(ruleView()) {
			t.Errorf("%.60s is true", rule)
		}
	}
}

// TestRulesetsAreBoundedTogether: a ruleset may cost no more than one rule.
func TestRulesetsAreBoundedTogether(t *testing.T) {
	t.Parallel()
	costly := map[string]string{"rule": "(or " + strings.Repeat("(= a 4) ", 3000) + "false)"}
	items := []map[string]string{costly, costly, costly, costly, costly, costly, {"rule": "true"}}
	for first, want := range map[int]bool{0: false, 4: true} {
		text, err := json.Marshal(items[first:])
		if err != nil {
			t.Fatal(err)
		}
		compiled, err := match.ParseRules(t.Context(), string(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := compiled.Match(ruleView()); got != want {
			t.Errorf("with %d costly rules in front, true is %v", 6-first, got)
		}
	}
}

func TestExplainRules(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]string{
		`(= name 'Manfred')`:                         `rule 1 is true`,
		`(= name 'Ada')`:                             `rule 1: (= name 'Ada') is false: name is "Manfred"`,
		`(and yes (= site 1) (and (= a 3) (< a b)))`: `rule 1: (< a b) is false: a is 3, b is 2`,
		`(and (= a 3) (= site 1))`:                   `rule 1: site is missing`,
		`(or (= a 4) (= name 'Ada'))`:                `rule 1: (or (= a 4) (= name 'Ada')) is false: a is 3, name is "Manfred"`,
		`(< name 3)`:                                 `rule 1: "Manfred" and 3 have no order`,
		`(* name 3)`:                                 `rule 1: "Manfred" and 3 are not both numbers`,
		`name`:                                       `rule 1: name is "Manfred", neither true nor false`,
		`false`:                                      `rule 1: false is false`,
	} {
		compiled, err := match.ParseRules(t.Context(), ruleset(t, rule))
		if err != nil {
			t.Errorf("%s: %v", rule, err)
			continue
		}
		if got := compiled.Explain(ruleView()); got != want {
			t.Errorf("%s\n got %s\nwant %s", rule, got, want)
		}
	}
}

// FuzzRule: no text makes reading, evaluating or explaining a rule panic, and
// what it says of a BOT is one thing.
func FuzzRule(f *testing.F) {
	for _, rule := range []string{
		`(and (= stream 'raw') (or (< run 10) (!= name "x")))`, `(= (+ a 1 b) (- big -3.5))`, `true`, `(| (& 0 1) yes)`,
		`(* gain (mul a b))`, "(or\n missing tags none)", `((`, `'`, `(= level "ü")`, `(<= -0.5 gain 2)`, `(add name order)`,
	} {
		f.Add(rule)
	}
	f.Fuzz(func(t *testing.T, rule string) {
		compiled, err := match.ParseRules(t.Context(), ruleset(t, rule))
		if err != nil {
			return
		}
		matches, explained := compiled.Match(ruleView()), compiled.Explain(ruleView())
		if matches != (explained == "rule 1 is true") {
			t.Errorf("%q is %v, but is explained with: %s", rule, matches, explained)
		}
	})
}
