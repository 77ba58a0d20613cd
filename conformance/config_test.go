package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zioflow/gateway/broker/zio"
)

// wantRefused runs `gateway serve`, which must exit at once and name what is
// wrong.
func wantRefused(t *testing.T, name string, arguments, environment []string, words ...string) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		addresses := append([]string{"serve"}, ephemeral...)
		for _, argument := range arguments { // a list's values add up, so leave the default out
			option, _, _ := strings.Cut(argument, "=")
			for i, a := range addresses {
				if strings.HasPrefix(a, option+"=") {
					addresses = append(addresses[:i:i], addresses[i+1:]...)
					break
				}
			}
		}
		out, err := gatewayCommand(t, stopLimit, append(addresses, arguments...), environment).CombinedOutput()
		if err == nil {
			t.Fatalf("the gateway served with %v %v", arguments, environment)
		}
		text := string(out)
		if strings.Contains(text, "ready: ") || strings.Contains(text, "goroutine ") {
			t.Fatalf("with %v %v the gateway printed\n%s, want a refusal", arguments, environment, text)
		}
		_, message, _ := strings.Cut("\n"+text, "\ngateway: ") // below the usage
		for _, word := range words {
			if !strings.Contains(message, word) {
				t.Errorf("with %v %v the error is %q, want %q in it", arguments, environment, message, word)
			}
		}
	})
}

// file writes a configuration file and answers the flag that names it.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return "--config=" + path
}

func TestConfigurationRefused(t *testing.T) {
	t.Parallel()
	wantRefused(t, "unknown flag", []string{"--max-credits=3"}, nil, "--max-credits")
	wantRefused(t, "unknown key", []string{file(t, "max-credit: 3\nmax-credits: 4\n")}, nil, "max-credits")
	wantRefused(t, "a version", []string{file(t, "version: 1\n")}, nil, "version is not an option")
	wantRefused(t, "no YAML", []string{file(t, "max-credit: [\n")}, nil, "gateway.yaml")
	wantRefused(t, "unknown engine", []string{"--zmq-engine=zeromq"}, nil, "zmq-engine", "zmtp", "libzmq")
	if engine() != "libzmq" {
		wantRefused(t, "an engine that is not built in", []string{"--zmq-engine=libzmq"}, nil, "zmq", "built without libzmq")
	}
	wantRefused(t, "no file", []string{"--config=/nonexistent/gateway.yaml"}, nil, "/nonexistent/gateway.yaml")
	for _, bad := range []struct{ option, value string }{
		{"grpc-rate-limit", "-1"}, {"grpc-peer-rate-limit", "NaN"}, {"otlp-endpoint", "127.0.0.1:4317"},
		{"max-credit", "0"}, {"max-credit", "-1"}, {"max-credit", "many"}, {"max-credit", "1.5"},
		{"max-message", "0"}, {"max-flows", "0"}, {"max-pending", "-3"}, {"max-flow-bytes", "1000"},
		{"pending-timeout", "0s"}, {"pending-timeout", "5"}, {"eot-timeout", "-1s"}, {"idle-timeout", "-1s"},
		{"heartbeat", "-1s"}, {"heartbeat-timeout", "0s"}, {"stall-timeout", "0s"},
		{"pending-timeout", "0s"}, {"pending-timeout", "5"}, {"eot-timeout", "-1s"}, {"idle-timeout", "-1s"}, {"handler-wait", "-1s"},
		{"log-level", "loud"}, {"log-format", "xml"}, {"default-routes", "perhaps"},
		{"port-name", "two words"}, {"node-port", "65536"}, {"public-node", "perhaps"},
	} {
		flag := "--" + bad.option + "=" + bad.value
		variable := "ZIO_GATEWAY_" + strings.ToUpper(strings.ReplaceAll(bad.option, "-", "_")) + "=" + bad.value
		wantRefused(t, flag, []string{flag}, nil, bad.option)
		wantRefused(t, variable, nil, []string{variable}, bad.option)
		wantRefused(t, bad.option+": "+bad.value, []string{file(t, bad.option+": "+bad.value+"\n")}, nil, bad.option)
	}
}

// TestNodeRefused: a name that other nodes could not read. (In the file it would be hidden
// by the environment, in which tests have no discovery.)
func TestNodeRefused(t *testing.T) {
	wantRefused(t, "empty flag", []string{"--node="}, nil, "--node", "name") // an empty variable is not set
	for name, why := range map[string]string{"zürich": "ASCII", strings.Repeat("n", 256): "256 bytes"} {
		wantRefused(t, "flag "+why, []string{"--node=" + name}, nil, "--node", why)
		wantRefused(t, "variable "+why, nil, []string{"ZIO_GATEWAY_NODE=" + name}, "--node", why)
	}
	wantRefused(t, "too many bytes", []string{"--port-name=" + strings.Repeat("n", 250)}, nil, "--port-name", "bytes")
}

// TestZMQAddressRefused: what is no address is told by the option's name, not by who
// fails to bind it.
func TestZMQAddressRefused(t *testing.T) {
	for _, option := range []string{"--zmq-server", "--zmq-router"} {
		for _, address := range []string{"tcp://127.0.0.1:99999", "tcp://127.0.0.1", "127.0.0.1:5555", "ipc://", "udp://127.0.0.1:1"} {
			wantRefused(t, option+"="+address, []string{option + "=" + address}, nil, option+": "+address+": ")
		}
	}
}

// TestNoHeartbeat: 0 turns heartbeats off, whatever their timeout.
func TestNoHeartbeat(t *testing.T) {
	p := serve(t, []string{"--heartbeat=0s", "--heartbeat-timeout=0s", "--default-routes"}, nil)
	client := p.dial(t, viaClient)
	mustSend(t, client, botMessage(zio.Inject, 2, 0))
	mustRecv(t, client, zio.BOT)
}

// TestBeyondLoopback: what other machines could reach is refused, in whatever
// way it is written, unless --insecure names its front; then a line warns of it.
func TestBeyondLoopback(t *testing.T) {
	t.Parallel()
	for option, addresses := range map[string][]string{
		"--zmq-server": {"tcp://0.0.0.0:*", "tcp://*:*", "tcp://[::]:*", "tcp://:::*", "tcp://eth0:*", "tcp://192.0.2.1:1"},
		"--zmq-router": {"tcp://0.0.0.0:0", "tcp://*:0", "tcp://[::]:0", "tcp://:::0"},
		"--grpc":       {"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:1"},
		"--http":       {"0.0.0.0:0", ":0", "[::]:0"},
	} {
		for _, address := range addresses {
			wantRefused(t, option+"="+address, []string{option + "=" + address}, nil, option, "--insecure")
			wantRefused(t, option+"="+address, []string{option + "=" + address, "--insecure=admin"}, nil, option, "--insecure")
		}
	}
	p := serveAt(t, []string{
		"--zmq-server=tcp://0.0.0.0:0", "--zmq-router=tcp://*:*", "--grpc=:0", "--http=0.0.0.0:0",
	}, []string{"--insecure", "grpc,zmq", "--insecure=http"}, nil)
	if file := p.readAddresses(t); !strings.HasPrefix(file.ZMQServer[0], "tcp://0.0.0.0:") {
		t.Errorf("with --insecure the gateway has bound %+v, want tcp://0.0.0.0", file)
	}
	for _, address := range []string{"front=zmq address=tcp://0.0.0.0:", "front=grpc address=[::]:", "front=http address="} {
		p.log.waitFor(t, "level=WARN msg=\"address open to other machines\" "+address)
	}
}

// TestPrecedence: the command line wins over the environment, that over the
// file, that over the default.
func TestPrecedence(t *testing.T) {
	yaml := file(t, "max-credit: 5\nzmq-server:\n- tcp://127.0.0.1:*\n- tcp://[::1]:*\n")
	environment := []string{"ZIO_GATEWAY_MAX_CREDIT=6"}
	for _, c := range []struct {
		name                   string
		arguments, environment []string
		credit                 int64
		servers                int
	}{
		{"default", nil, nil, 1000, 0},
		{"file", []string{yaml}, nil, 5, 2},
		{"environment", nil, environment, 6, 0},
		{"environment over file", []string{yaml}, environment, 6, 2},
		{"flag", []string{"--max-credit=7"}, nil, 7, 0},
		{"flag over environment", []string{"--max-credit=7"}, environment, 7, 0},
		{"flag over file", []string{"--max-credit=7", yaml}, nil, 7, 2},
		{"flag over both", []string{yaml, "--max-credit=7"}, environment, 7, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			addresses := ephemeral
			if c.servers > 0 {
				addresses = addresses[1:]
			}
			p := serveAt(t, addresses, append([]string{"--default-routes"}, c.arguments...), c.environment)
			client := p.dial(t, viaClient)
			mustSend(t, client, botMessage(zio.Inject, 5000, 0))
			if m := mustRecv(t, client, zio.BOT); m.Credit != c.credit {
				t.Errorf("a flow's credit is %d, want the limit of %d", m.Credit, c.credit)
			}
			if bound := p.readAddresses(t).ZMQServer; len(bound) != max(1, c.servers) {
				t.Errorf("bound %v, want %d addresses", bound, max(1, c.servers))
			}
		})
	}
}
