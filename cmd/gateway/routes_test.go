package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"go.uber.org/goleak"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/builtin"
	"github.com/zioflow/gateway/broker/spawn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestReloadRoutes: another list replaces the one before whole and tells what has
// changed; one with a mistake changes nothing.
func TestReloadRoutes(t *testing.T) {
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	spawner, err := spawn.New(spawn.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{broker: b, builtin: builtin.New(b, slog.New(slog.DiscardHandler)), spawner: spawner}
	folder := t.TempDir()
	const dump = "builtin: {name: dump}"
	for _, step := range []struct{ list, rules, changes, routes, wrong string }{
		{"[{name: a, " + dump + "}, {name: b, rules_file: r, " + dump + "}]", `[{rule: "true"}]`, "route a: added; route b: added", "a b", ""},
		{"[{name: a, " + dump + "}, {name: b, rules_file: r, " + dump + "}]", `[{rule: "true"}]`, "", "a b", ""},
		{"[{name: a, " + dump + "}, {name: b, rules_file: r, " + dump + "}]", `[{rule: "false"}]`, "route b: changed", "a b", ""},
		{"[{name: b, rules_file: r, " + dump + "}, {name: a, " + dump + "}]", `[{rule: "false"}]`, "routes: in another order", "b a", ""},
		{"[{name: b, rules_file: r, " + dump + "}, {name: c, " + dump + "}]", `[{rule: "("}]`, "", "b a", "routes[0].rules_file: "},
		{"[{name: b, " + dump + "}, {name: b, " + dump + "}]", "", "", "b a", "routes: route b: there is"},
		{"[{name: c, priority: 3, " + dump + "}, {name: a, max_credit: 3, " + dump + "}]", "", "route b: removed; route c: added; route a: changed", "c a", ""},
		{"", "", "route c: removed; route a: removed", "", ""},
	} {
		if err := os.WriteFile(filepath.Join(folder, "r"), []byte(step.rules), 0o600); err != nil {
			t.Fatal(err)
		}
		var value any
		if step.list != "" {
			if err := yaml.Unmarshal([]byte(step.list), &value); err != nil {
				t.Fatal(err)
			}
		}
		next := &serveCommand{routeFlags: routeFlags{MaxProcesses: 1}}
		if next.Routes.specs, err = readRoutes(value, folder); err != nil {
			t.Fatal(err)
		}
		var changes []string
		apply, err := g.reloadRoutes(next)
		switch {
		case err == nil && step.wrong == "":
			changes = apply()
		case err == nil || step.wrong == "" || !strings.HasPrefix(err.Error(), step.wrong):
			t.Errorf("%s: %v, want %q", step.list, err, step.wrong)
		}
		var names []string
		for _, r := range b.Routes() {
			names = append(names, r.Name)
		}
		if got := strings.Join(changes, "; "); got != step.changes || strings.Join(names, " ") != step.routes {
			t.Errorf("%s: %q, routes %v, want %q, %s", step.list, got, names, step.changes, step.routes)
		}
	}
}
