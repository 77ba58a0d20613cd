package match_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/zioflow/gateway/broker/match"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/zio"
)

// zioRules is written as ZIO's own example: Jsonnet, with what its file server
// needs.
const zioRules = `
local kinds = "(or (= type 'depo') (= type 'frame'))";
[
  { rule: "(and (= direction 'extract') %s)" % kinds, rw: "r", filepat: "{jobname}.hdf",
    grouppat: "{extra}/{stream}/{type}", attr: { extra: "foo" } },
  { rule: "(and (= extra 'bar') (= direction 'inject') %s)" % kinds, rw: "w", filepat: "{jobname}.hdf",
    attr: { extra: "bar", run: 9007199254740993 } },
]`

func TestRulesAreTriedInOrder(t *testing.T) {
	t.Parallel()
	rules, err := match.ParseRules(t.Context(), zioRules)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		label     string
		direction zio.Direction
		attr      map[string]any
		explained string
	}{
		{`{"type":"depo"}`, zio.Extract, map[string]any{"extra": "foo"}, "rule 1 is true"},
		{`{"type":"frame"}`, zio.Inject, map[string]any{"extra": "bar", "run": int64(9007199254740992)}, "rule 2 is true"},
		{`{"type":"frame","extra":"mine"}`, zio.Inject, map[string]any{"extra": "bar", "run": int64(9007199254740992)}, "rule 2 is true"},
		{`{"type":"x"}`, zio.Inject, nil, `rule 1: (= direction 'extract') is false: direction is "inject"; ` +
			`rule 2: (or (= type 'depo') (= type 'frame')) is false: type is "x"`},
	} {
		view := &matching.View{Label: []byte(tt.label), Direction: tt.direction}
		if got := rules.Explain(view); got != tt.explained {
			t.Errorf("%s\n got %s\nwant %s", tt.label, got, tt.explained)
		}
		if got := rules.Attr(view); !reflect.DeepEqual(got, tt.attr) {
			t.Errorf("%s: attr %v, want %v", tt.label, got, tt.attr)
		}
		if got := rules.Match(view); got != (tt.attr != nil) {
			t.Errorf("%s: matches %v", tt.label, got)
		}
	}
}

// What is JSON keeps its integers; Jsonnet's numbers are doubles.
func TestJSONRulesKeepIntegers(t *testing.T) {
	t.Parallel()
	rules, err := match.ParseRules(t.Context(), `[{"rule":"(= id 9007199254740993)","attr":{"run":9007199254740993}}]`)
	if err != nil {
		t.Fatal(err)
	}
	view := &matching.View{Label: []byte(`{"id":9007199254740993}`)}
	if got := rules.Attr(view)["run"]; got != int64(9007199254740993) {
		t.Errorf("attr is %v", got)
	}
}

func TestRulesRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``:                                     "rules:1:1",
		`{}`:                                   "is a list",
		`[]`:                                   "there is no rule",
		`[{}]`:                                 "rule 1: rule is missing",
		`[{"rule":"true"},{"rule":3}]`:         "rule 2: ",
		`[{"rule":"true","filpat":"x"}]`:       `rule 1: unknown field "filpat" (want rule, attr; rw, filepat, grouppat are ignored)`,
		`[{"rule":"true","attr":["x"]}]`:       "rule 1: attr: want an object",
		`[{"rule":"true","attr":{"n":1e999}}]`: "rule 1: attr: n has a number beyond every double",
		`[{rule: "(= a 1"}]`:                   "rule 1: rule: 1:7: a closing parenthesis is missing",
		`[{rule: "true"}`:                      "rules:1:",
		`local f(x) = f(x) + 1; f(1)`:          "max stack frames exceeded",
		`import 'other.jsonnet'`:               "import of other.jsonnet: a ruleset that is given as text can't import files",
		`[{rule: importstr '/etc/hostname'}]`:  "import of /etc/hostname: a ruleset that is given as text can't import files",
		`[{rule: error "no"}]`:                 "RUNTIME ERROR: no",
		`[{rule: std.extVar("HOME")}]`:         "Undefined external variable",
	} {
		if _, err := match.ParseRules(t.Context(), text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

func TestReadRules(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("secret.libsonnet", `"true"`)
	write("rules/lib/kinds.libsonnet", `import "sub/one.libsonnet"`)
	write("rules/lib/sub/one.libsonnet", `import "../../two.libsonnet"`)
	write("rules/two.libsonnet", `"(= type 'depo')"`)
	if err := os.Symlink("../secret.libsonnet", filepath.Join(dir, "rules", "link.libsonnet")); err != nil {
		t.Fatal(err)
	}
	rules, err := match.ReadRules(t.Context(), write("rules/good.jsonnet", `[{ rule: import "lib/kinds.libsonnet" }]`))
	if err != nil {
		t.Fatal(err)
	}
	if !rules.Match(&matching.View{Label: []byte(`{"type":"depo"}`)}) {
		t.Error("a rule that was imported does not match")
	}
	if _, err := match.ReadRules(t.Context(), write("rules/plain.json", `[{"rule":"true"}]`)); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]string{
		`[{ rule: import "../secret.libsonnet" }]`:                "../secret.libsonnet",
		`[{ rule: importstr "link.libsonnet" }]`:                  "link.libsonnet",
		`[{ rule: import "lib/../../secret.libsonnet" }]`:         "secret.libsonnet",
		`[{ rule: importstr "` + dir + `/rules/two.libsonnet" }]`: "only files in the ruleset's own folder",
		`[{ rule: import "nothing.libsonnet" }]`:                  "nothing.libsonnet",
		`[{ rule: importstr "lib" }]`:                             "lib",
		`[{ rule: "(" }]`:                                         "bad.jsonnet: rule 1: rule: 1:2",
	} {
		if _, err := match.ReadRules(t.Context(), write("rules/bad.jsonnet", text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	if _, err := match.ReadRules(t.Context(), filepath.Join(dir, "none.json")); err == nil || !strings.Contains(err.Error(), "none.json") {
		t.Errorf("no file: %v", err)
	}
	if _, err := match.ReadRules(t.Context(), write("large.json", "["+strings.Repeat(" ", 1<<20)+"]")); err == nil {
		t.Error("a file of more than a mebibyte was read")
	}
}
