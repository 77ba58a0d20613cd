package routes_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/builtin"
	"github.com/zioflow/gateway/broker/connect"
	"github.com/zioflow/gateway/broker/routes"
	"github.com/zioflow/gateway/broker/spawn"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
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
	exec := &gatewayv1.ExecFactory{Command: []string{"/bin/cat", "-n"}, MaxProcesses: 3, MaxTime: durationpb.New(time.Minute)}
	for _, spec := range []routes.Spec{
		{Name: "all", Factory: &gatewayv1.BuiltinFactory{Name: "dump"}},
		{Name: "cel", Match: "attributes.stream == 'raw'", Priority: -5, MaxCredit: 7, Factory: &gatewayv1.ListenerFactory{Name: "raw"}},
		{Name: "rules", Rules: rules, Factory: &gatewayv1.BuiltinFactory{Name: "generate"}},
		{Name: "file", RulesFile: file, Factory: exec},
		{Name: "far", Factory: &gatewayv1.ConnectFactory{Address: "tcp://localhost:5", MaxFlows: 1, ServerKey: strings.Repeat("a", 40)}},
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
		if got := m.SpecOf(made); !got.Equal(spec) {
			t.Errorf("made of %+v, reads %+v", spec, got)
		}
	}
	if err := builtin.New(b, slog.New(slog.DiscardHandler)).AddDefaultRoutes(); err != nil {
		t.Fatal(err)
	}
	all := b.Routes()
	if got, want := m.SpecOf(all[len(all)-1].Route), (routes.Spec{
		Name: "generate", Match: "direction == 'extract'", Factory: &gatewayv1.BuiltinFactory{Name: "generate"},
	}); !got.Equal(want) {
		t.Errorf("a default route reads %+v, want %+v", got, want)
	}
}

func TestMakeNamesTheField(t *testing.T) {
	m, _ := maker(t)
	for want, spec := range map[string]routes.Spec{
		"name: is missing":                                    {Factory: &gatewayv1.BuiltinFactory{Name: "dump"}},
		"name: has 129 bytes":                                 {Name: strings.Repeat("x", 129), Factory: &gatewayv1.BuiltinFactory{Name: "dump"}},
		"max_credit: is -1":                                   {Name: "x", MaxCredit: -1, Factory: &gatewayv1.BuiltinFactory{Name: "dump"}},
		"match: match expression: 1:1: undeclared":            {Name: "x", Match: "stream == 'raw'", Factory: &gatewayv1.BuiltinFactory{Name: "dump"}},
		"match: only one of":                                  {Name: "x", Match: "true", Rules: "[]", Factory: &gatewayv1.BuiltinFactory{Name: "dump"}},
		"rules: there is no rule":                             {Name: "x", Rules: "[]", Factory: &gatewayv1.BuiltinFactory{Name: "dump"}},
		"rules_file: openat none.json":                        {Name: "x", RulesFile: t.TempDir() + "/none.json", Factory: &gatewayv1.BuiltinFactory{Name: "dump"}},
		"factory: one of builtin, listener, exec and connect": {Name: "x"},
		`builtin.name: is "cat", want dump or`:                {Name: "x", Factory: &gatewayv1.BuiltinFactory{Name: "cat"}},
		"listener.name: has 129 bytes":                        {Name: "x", Factory: &gatewayv1.ListenerFactory{Name: strings.Repeat("x", 129)}},
		"connect.address: is missing":                         {Name: "x", Factory: &gatewayv1.ConnectFactory{}},
		"connect.node: can't be found":                        {Name: "x", Factory: &gatewayv1.ConnectFactory{Node: "n", Port: "flow"}},
		"exec.command: names no program":                      {Name: "x", Factory: &gatewayv1.ExecFactory{}},
		"exec.max_time: is -1s":                               {Name: "x", Factory: &gatewayv1.ExecFactory{Command: []string{"x"}, MaxTime: durationpb.New(-time.Second)}},
	} {
		if _, err := m.Make(t.Context(), spec); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for want, spec := range map[string]routes.Spec{
		"builtin: this gateway has no such": {Name: "x", Factory: &gatewayv1.BuiltinFactory{Name: "dump"}},
		"connect: this gateway has no such": {Name: "x", Factory: &gatewayv1.ConnectFactory{Address: "tcp://h:1"}},
		"exec: this gateway has no such":    {Name: "x", Factory: &gatewayv1.ExecFactory{Command: []string{"x"}}},
	} {
		if _, err := (routes.Maker{}).Make(t.Context(), spec); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
