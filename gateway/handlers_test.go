package gateway

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/routes"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestReloadRoutes: another list replaces the one before whole and tells what has
// changed; one with a mistake changes nothing.
func TestReloadRoutes(t *testing.T) {
	t.Parallel()
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	c := DefaultConfig()
	h, err := newHandlers(b, &c, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "r")
	type list = []routes.Spec
	dump := func(name string) routes.Spec {
		return routes.Spec{Name: name, Factory: routes.Description{"builtin": map[string]any{"name": "dump"}}}
	}
	ruled := func(name string) routes.Spec {
		return routes.Spec{Name: name, Factory: routes.Description{"builtin": map[string]any{"name": "dump"}}, RulesFile: file}
	}
	for _, step := range []struct {
		list                          list
		rules, changes, routes, wrong string
	}{
		{list{dump("a"), ruled("b")}, `[{rule: "true"}]`, "route a: added; route b: added", "a b", ""},
		{list{dump("a"), ruled("b")}, `[{rule: "true"}]`, "", "a b", ""},
		{list{dump("a"), ruled("b")}, `[{rule: "false"}]`, "route b: changed", "a b", ""},
		{list{ruled("b"), dump("a")}, `[{rule: "false"}]`, "routes: in another order", "b a", ""},
		{list{ruled("b"), dump("c")}, `[{rule: "("}]`, "", "b a", "routes[0].rules_file: "},
		{list{dump("b"), dump("b")}, "", "", "b a", "routes: route b: there is"},
		{list{
			{Name: "c", Factory: routes.Description{"builtin": map[string]any{"name": "dump"}}, Priority: 3}, {Name: "a", Factory: routes.Description{"builtin": map[string]any{"name": "dump"}}, MaxCredit: 3},
		}, "", "route b: removed; route c: added; route a: changed", "c a", ""},
		{nil, "", "route c: removed; route a: removed", "", ""},
	} {
		if err := os.WriteFile(file, []byte(step.rules), 0o600); err != nil {
			t.Fatal(err)
		}
		next := DefaultConfig()
		next.Routing.Routes = step.list
		var changes []string
		apply, err := h.prepare(&next)
		switch {
		case err == nil && step.wrong == "":
			changes = apply()
		case err == nil || step.wrong == "" || !strings.HasPrefix(err.Error(), step.wrong):
			t.Errorf("%v: %v, want %q", step.list, err, step.wrong)
		}
		var names []string
		for _, r := range b.Routes() {
			names = append(names, r.Name)
		}
		if got := strings.Join(changes, "; "); got != step.changes || strings.Join(names, " ") != step.routes {
			t.Errorf("%v: %q, routes %v, want %q, %s", step.list, got, names, step.changes, step.routes)
		}
	}
}

// TestKindsAreTheContracts: what the contract can describe the gateway can make, and the
// reverse.
func TestKindsAreTheContracts(t *testing.T) {
	t.Parallel()
	var made, described []string
	c := DefaultConfig()
	h, err := newHandlers(nil, &c, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range h.maker.Kinds {
		made = append(made, kind.Name)
	}
	members := (*gatewayv1.Route)(nil).ProtoReflect().Descriptor().Oneofs().ByName("factory").Fields()
	for i := range members.Len() {
		described = append(described, string(members.Get(i).Name()))
	}
	slices.Sort(made)
	slices.Sort(described)
	if !slices.Equal(made, described) {
		t.Errorf("the gateway makes %v, the contract describes %v", made, described)
	}
}
