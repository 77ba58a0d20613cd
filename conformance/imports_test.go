package main_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/zioflow/gateway"

// TestImportsPointInwards: cmd → server, zmqbridge → access → broker →
// broker/flow → broker/zio, and no transport reaches into the core.
func TestImportsPointInwards(t *testing.T) {
	const (
		zeroMQ    = "github.com/pebbe"
		grpc      = "google.golang.org/grpc"
		generated = module + "/gen"
		native    = module + "/internal/native"
		pki       = module + "/internal/pki"
		writing   = module + "/internal/logs/async"
		client    = module + "/internal/flowclient"
		outward   = module + "/zmqbridge/dial"
	)
	all := listDeps(t)
	for _, rule := range []struct {
		room string // with the packages below it
		not  []string
	}{
		{"/broker", []string{zeroMQ, grpc, generated, module + "/zmqbridge", module + "/server", module + "/cmd",
			native, client, pki, writing, module + "/clients", module + "/access"}},
		{"/access", []string{zeroMQ, grpc, generated, module + "/zmqbridge", module + "/server", module + "/cmd",
			native, client, pki, writing, module + "/clients"}},
		{"/access/jwks", []string{module + "/broker"}},
		{"/broker/flow", []string{module + "/broker/builtin", module + "/broker/match", "net", "log/slog"}},
		{"/broker/zio", []string{module + "/broker/flow", module + "/broker/builtin", module + "/broker/match", "net", "log/slog"}},
		{"/zmqbridge", []string{grpc, generated, module + "/server", module + "/cmd", module + "/clients"}},
		{"/zmqbridge/dial", []string{zeroMQ, module + "/access", module + "/internal", module + "/broker/flow"}},
		{"/zre", []string{zeroMQ, grpc, generated, module + "/access", module + "/broker/flow", module + "/cmd", module + "/clients", native, client}},
		{"/zre/peers", []string{outward, module + "/server", module + "/internal", "log/slog", "net/http"}},
		{"/zre/wire", []string{module + "/zmqbridge", module + "/zmtp", module + "/zre/peers", "net"}},
		{"/zre/nodes", []string{module + "/zmqbridge", module + "/zmtp", module + "/zre/peers", module + "/internal"}},
		{"/internal/flowclient", []string{zeroMQ, grpc, generated, outward, module + "/server", module + "/cmd", module + "/access"}},
		{"/cmd", []string{zeroMQ, native}}, // but for the engine, which a build tag puts in
		{"/server", []string{zeroMQ, module + "/cluster", module + "/zmqbridge", module + "/cmd", native, pki, writing, module + "/clients"}},
		{"/server/codec", []string{module + "/server/admin"}},
		{"/server/admin", []string{module + "/server/codec", module + "/server/grpcgo"}},
		{"/server/contract", []string{module + "/server/admin", module + "/server/codec", module + "/server/grpcgo"}},
		{"/server/grpcgo", []string{module + "/server/admin", module + "/server/codec", module + "/broker"}},
		{"/gateway/config", []string{module + "/gateway/reload", module + "/gateway/guard", module + "/gateway/front"}},
		{"/gateway/reload", []string{module + "/gateway/guard", module + "/gateway/front"}},
		{"/gateway/guard", []string{module + "/gateway/front"}},
		{"/telemetry", []string{zeroMQ, generated, module + "/zmqbridge", module + "/server", module + "/cmd", native, pki, writing,
			module + "/clients"}},
		{"/internal/logs", []string{zeroMQ, grpc, generated, module + "/broker", module + "/zmqbridge", module + "/server",
			module + "/cmd", module + "/clients", module + "/telemetry"}},
		{"/clients/go", []string{zeroMQ, module + "/broker", module + "/zmqbridge", module + "/server", module + "/cmd"}},
		{"/cli/operate", []string{zeroMQ, module + "/broker", module + "/zmqbridge", module + "/server", module + "/cmd", native}},
		{"/cli/tables", []string{module + "/clients", module + "/cli/operate", module + "/cli/remote", module + "/cli/console"}},
		{"/internal/native", []string{grpc, generated, module + "/zmqbridge", module + "/server", module + "/cmd"}},
		{"/conformance/play", []string{zeroMQ, native, module + "/server", module + "/gateway", module + "/cmd"}},
		{"", []string{module + "/conformance"}},
	} {
		found := 0
		for path, deps := range all {
			if !within(path, module+rule.room) || rule.room == "" && within(path, module+"/conformance") {
				continue
			}
			found++
			for _, dep := range deps {
				if i := slices.IndexFunc(rule.not, func(not string) bool { return within(dep, not) }); i >= 0 {
					t.Errorf("%s depends on %s; nothing in %s%s may depend on %s", path, dep, module, rule.room, rule.not[i])
				}
			}
		}
		if found == 0 {
			t.Errorf("there is no package in %s%s", module, rule.room)
		}
	}
	// The core stands alone: its rooms use those below them, not the reverse, and nothing
	// of ours besides but two packages that do no I/O.
	helpers := []string{"/internal/logs", "/internal/text"}
	allowed := []string{"/broker/zio", "/broker/budget", "/broker/idtable", "/broker/timeshare"}
	for _, floor := range [][]string{
		{"/broker/flow"}, {"/broker/transport"}, {"/broker/matching", "/broker/ledger"}, {"/broker/rights"},
		{"/broker/routing"}, {"/broker/listeners", "/broker/relay"}, {"/broker"},
	} {
		for _, room := range floor {
			for _, dep := range all[module+room] {
				if below := strings.TrimPrefix(dep, module); below != dep && !slices.Contains(append(allowed, helpers...), below) {
					t.Errorf("%s depends on %s, want nothing of ours but %v and %v", room, below, allowed, helpers)
				}
			}
		}
		allowed = append(allowed, floor...)
	}
	for _, core := range []string{"/broker/zio", "/broker/budget", "/broker/idtable", "/broker/timeshare"} {
		for _, dep := range all[module+core] {
			if within(dep, module) {
				t.Errorf("%s depends on %s, want nothing of ours", core, dep)
			}
		}
	}
}

// within tells whether a package is another or lies below it.
func within(path, room string) bool {
	return path == room || strings.HasPrefix(path, room+"/")
}

// listDeps returns everything that each of the module's packages depends on.
func listDeps(t *testing.T) map[string][]string {
	t.Helper()
	list := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Deps " "}}`, module+"/...")
	list.Env = append(list.Environ(), "GOFLAGS=") // without the tag libzmq: what users build
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		deps[words[0]] = words[1:]
	}
	return deps
}
