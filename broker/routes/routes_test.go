package routes_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/builtin"
	"github.com/zioflow/gateway/broker/connect"
	"github.com/zioflow/gateway/broker/routes"
	"github.com/zioflow/gateway/broker/spawn"
	"github.com/zioflow/gateway/zmqbridge/reach"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func maker(t *testing.T) (routes.Maker, *broker.Broker) {
	t.Helper()
	options := broker.DefaultOptions()
	b, err := broker.New(options)
	if err != nil {
		t.Fatal(err)
	}
	spawner, err := spawn.New(spawn.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	connector := connect.New(connect.Options{Broker: b, Dialer: &reach.Dialer{}})
	return routes.Maker{Kinds: routes.Kinds{
		builtin.New(b, options.Log).Kind(), routes.Listener(), spawner.Kind(), connector.Kind(),
	}}, b
}

// What a route was made of can be read from it again.
func TestMakeAndSpecOf(t *testing.T) {
	m, b := maker(t)
	const rules = `[{rule: "(= stream 'raw')"}]`
	file := filepath.Join(t.TempDir(), "rules.jsonnet")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	exec := routes.Description{"exec": map[string]any{"command": []any{"/bin/cat", "-n"}, "max_processes": int64(3), "max_time": "1m0s"}}
	for _, spec := range []routes.Spec{
		{Name: "all", Factory: routes.Description{"builtin": map[string]any{"name": "dump"}}},
		{Name: "cel", Match: "attributes.stream == 'raw'", Priority: -5, MaxCredit: 7, Factory: routes.Description{"listener": map[string]any{"name": "raw"}}},
		{Name: "rules", Rules: rules, Factory: routes.Description{"builtin": map[string]any{"name": "generate"}}},
		{Name: "file", RulesFile: file, Factory: exec},
		{Name: "far", Factory: routes.Description{"connect": map[string]any{"address": "tcp://localhost:5", "max_flows": int64(1), "server_key": strings.Repeat("a", 40)}}},
	} {
		made, err := m.Make(t.Context(), spec)
		if err != nil {
			t.Errorf("%s: %v", spec.Name, err)
			continue
		}
		if _, err := b.AddRoute(made); err != nil {
			t.Error(err)
		}
		if spec.RulesFile != "" {
			spec.RulesFile, spec.Rules = "", rules
		}
		if got := m.SpecOf(made); !reflect.DeepEqual(got, spec) {
			t.Errorf("made of %+v, reads %+v", spec, got)
		}
	}
	if err := builtin.New(b, slog.New(slog.DiscardHandler)).AddDefaultRoutes(); err != nil {
		t.Fatal(err)
	}
	all := b.Routes()
	if got, want := m.SpecOf(all[len(all)-1].Route), (routes.Spec{
		Name: "generate", Match: "direction == 'extract'", Factory: routes.Description{"builtin": map[string]any{"name": "generate"}},
	}); !reflect.DeepEqual(got, want) {
		t.Errorf("a default route reads %+v, want %+v", got, want)
	}
}

func TestMakeNamesTheField(t *testing.T) {
	m, _ := maker(t)
	for want, spec := range map[string]routes.Spec{
		"name: is missing":                         {Factory: routes.Description{"builtin": map[string]any{"name": "dump"}}},
		"name: has 129 bytes":                      {Name: strings.Repeat("x", 129), Factory: routes.Description{"builtin": map[string]any{"name": "dump"}}},
		"max_credit: is -1":                        {Name: "x", MaxCredit: -1, Factory: routes.Description{"builtin": map[string]any{"name": "dump"}}},
		"match: match expression: 1:1: undeclared": {Name: "x", Match: "stream == 'raw'", Factory: routes.Description{"builtin": map[string]any{"name": "dump"}}},
		"match: only one of":                       {Name: "x", Match: "true", Rules: "[]", Factory: routes.Description{"builtin": map[string]any{"name": "dump"}}},
		"rules: there is no rule":                  {Name: "x", Rules: "[]", Factory: routes.Description{"builtin": map[string]any{"name": "dump"}}},
		"rules_file: openat none.json":             {Name: "x", RulesFile: t.TempDir() + "/none.json", Factory: routes.Description{"builtin": map[string]any{"name": "dump"}}},
		"factory: one of builtin, listener, exec and connect must be set, not two": {Name: "x", Factory: routes.Description{"builtin": map[string]any{"name": "dump"}, "listener": map[string]any{"name": "l"}}},
		"prio: is not known here":                             {Name: "x", Factory: routes.Description{"builtin": map[string]any{"name": "dump"}, "prio": int64(3)}},
		"listener: want keys with values":                     {Name: "x", Factory: routes.Description{"listener": "raw"}},
		"builtin.x: is not known here":                        {Name: "x", Factory: routes.Description{"builtin": map[string]any{"name": "dump", "x": int64(3)}}},
		"factory: one of builtin, listener, exec and connect": {Name: "x"},
		`builtin.name: is "cat", want dump or`:                {Name: "x", Factory: routes.Description{"builtin": map[string]any{"name": "cat"}}},
		"listener.name: has 129 bytes":                        {Name: "x", Factory: routes.Description{"listener": map[string]any{"name": strings.Repeat("x", 129)}}},
		"connect.address: is missing":                         {Name: "x", Factory: routes.Description{"connect": map[string]any{}}},
		"connect.node: can't be found":                        {Name: "x", Factory: routes.Description{"connect": map[string]any{"node": "n", "port": "flow"}}},
		"exec.command: names no program":                      {Name: "x", Factory: routes.Description{"exec": map[string]any{}}},
		"exec.max_time: is -1s":                               {Name: "x", Factory: routes.Description{"exec": map[string]any{"command": []any{"x"}, "max_time": "-1s"}}},
	} {
		if _, err := m.Make(t.Context(), spec); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
