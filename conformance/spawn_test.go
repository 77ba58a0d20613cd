package main_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/zioflow/gateway/broker/zio"
)

// command runs a subcommand of the gateway's as another program would.
func (p *program) run(t *testing.T, arguments ...string) string {
	t.Helper()
	out, err := gatewayCommand(t, patience, arguments, nil).CombinedOutput()
	if err != nil {
		t.Fatalf("gateway %v: %v\n%s\n%s", arguments, err, out, p.log.text())
	}
	return string(out)
}

// TestSpawnedHandlers: a route starts a handler program for every flow, which
// finds gateway and cid in its environment: over every transport, in both
// directions.
func TestSpawnedHandlers(t *testing.T) {
	t.Parallel()
	path, err := builtProgram()
	if err != nil {
		t.Fatal(err)
	}
	text := "routes:\n"
	for _, via := range []string{"zmq-server", "zmq-router", "grpc"} {
		text += fmt.Sprintf(`- name: take by %[1]s
  match: attributes.by == '%[1]s' && direction == 'inject'
  exec: {command: [%[2]s, get, --via, %[1]s]}
- name: give by %[1]s
  match: attributes.by == '%[1]s' && direction == 'extract'
  max_credit: 3
  exec: {command: [%[2]s, put, --via, %[1]s, --count, 70, --size, 1000]}
`, via, path)
	}
	p := serve(t, []string{file(t, text)}, nil)
	for i, by := range []string{"zmq-server", "zmq-router", "grpc"} {
		address := []string{p.addresses[viaClient], p.addresses[viaDealer], p.addresses[viaGRPC]}
		via := []string{"zmq-server", "zmq-router", "grpc"}
		client := (i + 1) % 3 // of another transport than the handler
		out := p.run(t, "put", "--via", via[client], "--address", address[client], "--count", "50", "--size", "2000", "by="+by)
		if !strings.Contains(out, "gave 50 messages, 100000 bytes") {
			t.Errorf("put printed %s", out)
		}
		p.log.waitFor(t, fmt.Sprintf(`%-10s took 50 messages, 100000 bytes`, by))
		out = p.run(t, "get", "--via", via[client], "--address", address[client], "by="+by)
		if !strings.Contains(out, "took 70 messages, 70000 bytes") {
			t.Errorf("get printed %s", out)
		}
		p.log.waitFor(t, fmt.Sprintf(`%-10s gave 70 messages, 70000 bytes`, by))
	}
}

// TestSpawnedCommandsEnd: a gateway leaves no command behind, nor what that has
// started in a session of its own, whether it is stopped or killed, and whatever the
// command ignores; and a command has none of its sockets.
func TestSpawnedCommandsEnd(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGKILL": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			p := serve(t, []string{file(t, `
routes:
- name: hangs
  exec:
    command: [sh, -c, "trap '' TERM; (setsid sh -c 'echo hidden $$; exec sleep 1000' &); echo pid $$; for f in /proc/$$/fd/*; do echo open $(basename $f) $(readlink $f); done; echo told; exec sleep 1000"]
`)}, nil)
			client := p.dial(t, viaDealer)
			mustSend(t, client, botMessage(zio.Extract, 2, 0))
			p.log.waitFor(t, "command: told")
			p.log.waitFor(t, "command: hidden")
			for _, open := range regexp.MustCompile(`command: open \d+ (?:socket|anon_inode):\S+`).FindAllString(p.log.text(), -1) {
				t.Errorf("the command has a descriptor of the gateway's: %s", open)
			}
			pids := regexp.MustCompile(`command: (?:pid|hidden) (\d+)`).FindAllStringSubmatch(p.log.text(), -1)
			if len(pids) != 2 {
				t.Fatalf("%d processes have told their number", len(pids))
			}
			p.signal(t, end)
			p.wait(t, stopLimit)
			for _, pid := range pids {
				eventually(t, "the command's end", func() error {
					stat, err := os.ReadFile(filepath.Join("/proc", pid[1], "stat"))
					if err != nil || strings.Contains(string(stat), ") Z ") {
						return nil
					}
					return fmt.Errorf("it runs: %s", stat)
				})
			}
		})
	}
}

// TestSpawnedCommandFails: the client is told how.
func TestSpawnedCommandFails(t *testing.T) {
	p := serve(t, []string{file(t, `
routes:
- name: fails
  exec: {command: [sh, -c, "echo no disk >&2; exit 3"]}
`)}, nil)
	out, err := gatewayCommand(t, patience, []string{"put", "--address", p.addresses[viaGRPC]}, nil).CombinedOutput()
	if _, failed := errors.AsType[*exec.ExitError](err); !failed || !strings.Contains(string(out), "command sh exited with status 3 before it accepted: no disk") {
		t.Errorf("put ended with %v and printed %s", err, out)
	}
}

// TestRoutesRefused: what is wrong with a route in a file is told by its field.
func TestRoutesRefused(t *testing.T) {
	t.Parallel()
	rules := filepath.Join(t.TempDir(), "rules.jsonnet")
	if err := os.WriteFile(rules, []byte(`[{rule: "(= a"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, words := range map[string][]string{
		"{}":                        {"routes: want a list"},
		"[7]":                       {"routes[0]: want keys with values"},
		"[{name: a}]":               {"routes[0].factory: one of builtin"},
		"[{builtin: {name: dump}}]": {"routes[0].name: is missing"},
		"[{name: a, builtin: {name: dump}}, {name: b, builtin: {name: cat}}]": {`routes[1].builtin.name: is "cat"`},
		"[{name: a, builtin: {}}]":                                             {"routes[0].builtin.name: is missing"},
		"[{name: a, builtin: {name: dump}, prio: 3}]":                          {"routes[0].prio: is not known here"},
		"[{name: a, builtin: {name: dump, x: 3}}]":                             {"routes[0].builtin.x: is not known here"},
		"[{name: a, builtin: {name: dump}, priority: 1.5}]":                    {"routes[0].priority: is 1.5, want a whole number"},
		"[{name: a, builtin: {name: dump}, priority: 9999999999}]":             {"routes[0].priority: is 9999999999, want -2147483648 to"},
		"[{name: a, builtin: {name: dump}, max_credit: -1}]":                   {"routes[0].max_credit: is -1"},
		"[{name: a, builtin: {name: dump}, match: 'x == 1'}]":                  {"routes[0].match: match expression: 1:1: undeclared reference to 'x'"},
		"[{name: a, builtin: {name: dump}, match: 7}]":                         {"routes[0].match: is 7, want a text"},
		"[{name: a, builtin: {name: dump}, match: }]":                          {"routes[0].match: has no value"},
		"[{name: a, listener: raw}]":                                           {"routes[0].listener: want keys with values"},
		"[{name: a, exec: {command: cat}}]":                                    {"routes[0].exec.command: is cat, want a list"},
		"[{name: a, exec: {command: [[x]]}}]":                                  {"routes[0].exec.command[0]: is [x], want a text"},
		"[{name: a, exec: {command: [cat], max_time: 5}}]":                     {"routes[0].exec.max_time: is 5, want a duration"},
		"[{name: a, exec: {command: [cat], max_time: -5s}}]":                   {"routes[0].exec.max_time: is -5s"},
		"[{name: a, rules: [{rule: '(= a'}], builtin: {name: dump}}]":          {"routes[0].rules: rule 1: rule: 1:5"},
		"[{name: a, rules_file: " + rules + ", builtin: {name: dump}}]":        {"routes[0].rules_file: ", "rule 1: rule: 1:5"},
		"[{name: a, builtin: {name: dump}}, {name: a, builtin: {name: dump}}]": {"routes: route a: there is a route of this name"},
	} {
		wantRefused(t, text, []string{file(t, "routes: "+text+"\n")}, nil, words...)
	}
	wantRefused(t, "a default's name", []string{"--default-routes", file(t, "routes: [{name: dump, builtin: {name: dump}}]\n")}, nil,
		"routes: route dump: there is a route of this name")
	wantRefused(t, "flag", []string{"--routes=x"}, nil, "in the configuration file only")
	wantRefused(t, "max-processes", []string{"--max-processes=0"}, nil, "max-processes")
}

// TestRulesFile: a ruleset of ZIO's in a file beside the configuration's.
func TestRulesFile(t *testing.T) {
	t.Parallel()
	flag := file(t, `
routes:
- name: depos
  rules_file: rules.jsonnet
  builtin: {name: generate}
- name: frames
  rules:
  - {rule: "(= kind 'frame')", rw: r}
  builtin: {name: generate}
`)
	folder := filepath.Dir(strings.TrimPrefix(flag, "--config="))
	for name, text := range map[string]string{
		"rules.jsonnet":   `[{ rule: (import "kinds.libsonnet").depo, rw: "r", filepat: "{jobname}.hdf" }]`,
		"kinds.libsonnet": `{ depo: "(= kind 'depo')" }`,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := serve(t, []string{flag}, nil)
	for _, kind := range []string{"depo", "frame"} {
		if out := p.run(t, "get", "--address", p.addresses[viaGRPC], "kind="+kind); !strings.Contains(out, "took 10 messages") {
			t.Errorf("get printed %s", out)
		}
	}
	out, err := gatewayCommand(t, patience, []string{"get", "--address", p.addresses[viaGRPC], "kind=x"}, nil).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no_handler") {
		t.Errorf("get of what no rule takes: %v\n%s", err, out)
	}
}

// TestSpawnedCommandIsToldAddresses that it can connect to, whatever was bound.
func TestSpawnedCommandIsToldAddresses(t *testing.T) {
	p := serveAt(t, []string{"--zmq-server=tcp://0.0.0.0:0", "--zmq-server=tcp://127.0.0.1:0", "--zmq-router=none", "--grpc=[::]:0", "--http=none"},
		[]string{"--insecure=grpc,zmq", file(t, `
routes:
- name: tells
  exec: {command: [sh, -c, "echo at $ZIO_GATEWAY_ZMQ_SERVER ${ZIO_GATEWAY_ZMQ_ROUTER-nowhere} $ZIO_GATEWAY_GRPC"]}
`)}, nil)
	ready := p.readAddresses(t)
	_, zmqPort, _ := net.SplitHostPort(strings.TrimPrefix(ready.ZMQServer[0], "tcp://"))
	_, grpcPort, _ := net.SplitHostPort(ready.GRPC)
	client := p.dial(t, viaClient)
	mustSend(t, client, botMessage(zio.Extract, 2, 0))
	p.log.waitFor(t, fmt.Sprintf(`command: at tcp://127.0.0.1:%s nowhere [::1]:%s"`, zmqPort, grpcPort))
}
