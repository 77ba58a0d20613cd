package routes_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

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
	return routes.Maker{
		Builtin: builtin.New(b, options.Log), Spawner: spawner, Connector: connect.New(connect.Options{Broker: b, Dialer: &reach.Dialer{}}),
	}, b
}

// What a route was made of can be read from it again.
func TestMakeAndSpecOf(t *testing.T) {
	m, b := maker(t)
	const rules = `[{rule: "(= stream 'raw')"}]`
	file := filepath.Join(t.TempDir(), "rules.jsonnet")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	exec := &spawn.Command{Arguments: []string{"/bin/cat", "-n"}, MaxProcesses: 3, MaxTime: time.Minute}
	for _, spec := range []routes.Spec{
		{Name: "all", Builtin: "dump"},
		{Name: "cel", Match: "attributes.stream == 'raw'", Priority: -5, MaxCredit: 7, Listener: "raw"},
		{Name: "rules", Rules: rules, Builtin: "generate"},
		{Name: "file", RulesFile: file, Exec: exec},
		{Name: "far", Connect: &connect.Target{Address: "tcp://localhost:5", MaxFlows: 1, ServerKey: strings.Repeat("a", 40)}},
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
		if got := routes.SpecOf(made); !reflect.DeepEqual(got, spec) {
			t.Errorf("made of %+v, reads %+v", spec, got)
		}
	}
	if err := m.Builtin.AddDefaultRoutes(); err != nil {
		t.Fatal(err)
	}
	all := b.Routes()
	if got, want := routes.SpecOf(all[len(all)-1].Route), (routes.Spec{
		Name: "generate", Match: "direction == 'extract'", Builtin: "generate",
	}); !reflect.DeepEqual(got, want) {
		t.Errorf("a default route reads %+v, want %+v", got, want)
	}
}

func TestMakeNamesTheField(t *testing.T) {
	m, _ := maker(t)
	for want, spec := range map[string]routes.Spec{
		"name: is missing":                                    {Builtin: "dump"},
		"name: has 129 bytes":                                 {Name: strings.Repeat("x", 129), Builtin: "dump"},
		"max_credit: is -1":                                   {Name: "x", MaxCredit: -1, Builtin: "dump"},
		"match: match expression: 1:1: undeclared":            {Name: "x", Match: "stream == 'raw'", Builtin: "dump"},
		"match: only one of":                                  {Name: "x", Match: "true", Rules: "[]", Builtin: "dump"},
		"rules: there is no rule":                             {Name: "x", Rules: "[]", Builtin: "dump"},
		"rules_file: openat none.json":                        {Name: "x", RulesFile: t.TempDir() + "/none.json", Builtin: "dump"},
		"factory: one of builtin, listener, exec and":         {Name: "x"},
		"factory: one of builtin, listener, ":                 {Name: "x", Builtin: "dump", Connect: &connect.Target{Address: "tcp://h:1"}},
		"factory: one of builtin, listener, exec and connect": {Name: "x", Builtin: "dump", Listener: "l"},
		`builtin.name: is "cat", want dump or`:                {Name: "x", Builtin: "cat"},
		"listener.name: has 129 bytes":                        {Name: "x", Listener: strings.Repeat("x", 129)},
		"connect.address: is missing":                         {Name: "x", Connect: &connect.Target{}},
		"connect.node: can't be found":                        {Name: "x", Connect: &connect.Target{Node: "n", Port: "flow"}},
		"exec.command: names no program":                      {Name: "x", Exec: &spawn.Command{}},
		"exec.max_time: is -1s":                               {Name: "x", Exec: &spawn.Command{Arguments: []string{"x"}, MaxTime: -time.Second}},
	} {
		if _, err := m.Make(t.Context(), spec); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for want, spec := range map[string]routes.Spec{
		"builtin: this gateway has no":         {Name: "x", Builtin: "dump"},
		"connect: this gateway connects to no": {Name: "x", Connect: &connect.Target{Address: "tcp://h:1"}},
		"exec: this gateway starts no":         {Name: "x", Exec: &spawn.Command{Arguments: []string{"x"}}},
	} {
		if _, err := (routes.Maker{}).Make(t.Context(), spec); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
