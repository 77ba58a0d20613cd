package settings_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/zioflow/gateway/cmd/gateway/internal/settings"
	"github.com/zioflow/gateway/internal/yamlfile"
)

// program is a command line with serve alone.
type program struct {
	Config settings.File `once:""`
	Serve  struct {
		settings.Serve `embed:""`
	} `cmd:""`
	Other struct {
		Depth int
	} `cmd:""`
}

// read reads arguments, and a file of that text, named gateway.yaml in the working
// directory, unless it is empty.
func read(t *testing.T, yaml string, arguments ...string) (*settings.Reading, *settings.Serve, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	if yaml != "" {
		if err := os.WriteFile("gateway.yaml", []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		arguments = append(arguments, "--config=gateway.yaml")
	}
	p, reading := new(program), new(settings.Reading)
	parser, err := kong.New(p, append(settings.Values(), settings.Defaults(), kong.DefaultEnvars("ZIO_GATEWAY"), kong.Bind(reading))...)
	if err == nil {
		err = settings.ForgetEmpty(parser)
	}
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.Parse(append([]string{"serve"}, arguments...))
	if err == nil {
		err = reading.Finish(parsed, &p.Serve.Serve)
	}
	return reading, &p.Serve.Serve, settings.InWords(err)
}

// TestFileRefused: with the place and, for a slip, what may have been meant. It runs alone,
// as do others here: environment and working directory are everybody's.
func TestFileRefused(t *testing.T) {
	for text, want := range map[string]string{
		"max-credits: 4":                       "1:1: max-credits is not an option; did you mean max-credit?",
		"MAX_CREDIT: 4":                        "1:1: MAX_CREDIT is not an option; did you mean max-credit?",
		"colour: 4":                            "1:1: colour is not an option",
		"depth: 4":                             "1:1: depth is not an option",
		"version: 1":                           "1:1: version is not an option",
		"config: x":                            "1:1: config is not an option",
		"help: true":                           "1:1: help is not an option",
		"max-credit:":                          "1:12: max-credit: has no value",
		"max-credit: {a: 1}":                   "1:13: max-credit: is a mapping, want a value or a list of values",
		"routes:":                              "1:8: routes: has no value",
		"routes: ~":                            "1:9: routes: has no value",
		"\"\": 1":                              `1:1: "" is not an option`,
		"max-credit: 010":                      `1:13: max-credit: is "010", want a whole number`,
		"max-credit: 1e3":                      `1:13: max-credit: is "1e3", want a whole number`,
		"max-credit: 9223372036854775808":      `1:13: max-credit: is "9223372036854775808", which is beyond what can be: want a whole number`,
		"grpc-rate-limit: 1e400":               `1:18: grpc-rate-limit: is "1e400", which is beyond what can be: want a number`,
		"idle-timeout: 9999999h":               `1:15: idle-timeout: is "9999999h", which is beyond what can be: want a time with its unit, such as 30s, 5m or 1h30m`,
		"max-message: 99EB":                    `1:14: max-message: is "99EB", which is beyond what can be: want a number of bytes, such as 65536, 64MiB or 1.5GB`,
		"max-bytes: 0.5":                       `1:12: max-bytes: is "0.5", want a number of bytes, such as 65536, 64MiB or 1.5GB`,
		"log-level: info+3":                    `1:12: log-level: is "info+3", want debug, info, warn or error`,
		"max-credit: many":                     `1:13: max-credit: is "many", want a whole number`,
		"max-credit: 0":                        "1:13: max-credit is 0, want more than 0",
		"max-message: 64MiB of it":             `1:14: max-message: is "64MiB of it", want a number of bytes, such as 65536, 64MiB or 1.5GB`,
		"max-flows: 3\nmax-flow-bytes: 1MB":    "2:17: max-flow-bytes is 1000000, want at least max-message, 67108864",
		"idle-timeout: 5":                      `1:15: idle-timeout: is "5", want a time with its unit, such as 30s, 5m or 1h30m`,
		"log-level: loud":                      `1:12: log-level: is "loud", want debug, info, warn or error`,
		"log-format: jsn":                      `1:13: log-format: is "jsn", want text or json; did you mean json?`,
		"default-routes: perhaps":              `1:17: default-routes: is "perhaps", want true or false`,
		"node-port: 65536":                     `1:12: node-port: is "65536", want a port, 0 to 65535`,
		"insecure:\n- zmq\n- grcp":             `3:3: insecure: "grcp" is no front; there are grpc, zmq, http, admin, cluster`,
		"zmq-server: [tcp://127.0.0.1:1, [x]]": "1:33: zmq-server: is a list in a list, want a value",
		"zmq-server: [tcp://127.0.0.1:1, tcp://127.0.0.1:99999]": `1:33: --zmq-server: tcp://127.0.0.1:99999: the port is "99999", ` +
			"want 0 to 65535, or * for a free one",
		"tls-cert: x":                               "1:11: --tls-cert: needs --tls-key",
		"routes: {name: a}":                         "1:9: routes: want a list",
		"routes: [a]":                               "1:10: routes[0]: want keys with values",
		"routes:\n- name: a\n  priority: high":      "3:13: routes[0].priority: is high, want a whole number",
		"routes:\n- name: [a]":                      "2:9: routes[0].name: is [a], want a text",
		"x: 1\ny: 2":                                "1:1: x is not an option\ngateway.yaml:2:1: y is not an option",
		"max-credit: 1\nmax-credit: 2":              "2:1: the key max-credit stands here again: it is in line 1 already",
		"max-credit: 5\n---\nmax-flows: nonsense\n": "2:1: a second document begins: one file is one document; join them without the ---",
	} {
		_, _, err := read(t, text)
		if err == nil || err.Error() != "gateway.yaml:"+want {
			t.Errorf("%q:\n%v\nwant\ngateway.yaml:%s", text, err, want)
		}
	}
	for _, text := range []string{"max-credit: " + strings.Repeat("9", 1<<20), strings.Repeat("k", 1<<20) + ": 1", "log-format: " + strings.Repeat("k", 1<<20), "max-message: " + strings.Repeat("9", 1<<20), "default-routes: " + strings.Repeat("k", 1<<20)} {
		if _, _, err := read(t, text); err == nil || len(err.Error()) > 400 {
			t.Errorf("%.20s of a mebibyte: %.500v", text, err)
		}
	}
	if _, _, err := read(t, "max-flows: 0", "--max-flows=1"); err != nil {
		t.Errorf("a value that is not in force: %v", err)
	}
}

// TestMerged: what YAML can say otherwise is read, with a byte-order mark and without.
func TestMerged(t *testing.T) {
	_, s, err := read(t, "\xef\xbb\xbfroutes:\n- &a {name: a, builtin: {name: dump}, priority: 3}\n- {<<: *a, name: b}\nnode: 007\nlog-level: WARN\n"+
		"zmq-server: tcp://127.0.0.1:1,tcp://127.0.0.1:2\nzmq-router: ['ipc:///tmp/a,b']\nmax-credit: 0x10\n")
	if err != nil {
		t.Fatal(err)
	}
	c := s.Config()
	got := fmt.Sprint(c.Routing.Routes[1].Name, c.Routing.Routes[1].Priority, c.Node.Name, c.LogLevel, c.ZMQ.Servers, c.ZMQ.Routers, c.Limits.MaxCredit)
	if want := "b3007WARN [tcp://127.0.0.1:1 tcp://127.0.0.1:2] [ipc:///tmp/a,b] 16"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestEnvironment: what is empty is not set, what sets nothing is refused, unless it is
// somebody else's.
func TestEnvironment(t *testing.T) {
	set := func(t *testing.T, entry string) {
		name, value, _ := strings.Cut(entry, "=")
		t.Setenv(name, value)
	}
	for entry, want := range map[string]string{
		"ZIO_GATEWAY_MAX_CREDIT=":                         "",
		"ZIO_GATEWAY_NODE=":                               "",
		"ZIO_GATEWAY_LOG_FORMAT=":                         "",
		"ZIO_GATEWAY_NONSENSE=":                           "",
		"ZIO_GATEWAY_CID=17":                              "",
		"ZIO_GATEWAY_DEPTH=1":                             "", // another command's
		"ZIO_GATEWAY_SERVICE_HOST=10.0.0.1":               "",
		"ZIO_GATEWAY_SERVICE_PORT_GRPC=7575":              "",
		"ZIO_GATEWAY_PORT=tcp://10.0.0.1:7575":            "",
		"ZIO_GATEWAY_PORT_7575_TCP_ADDR=10.0.0.1":         "",
		"ZIO_GATEWAY_METRICS_PORT_7576_TCP=tcp://10.0:76": "",
		"ZIO_GATEWAY_MAX_CREDITS=5":                       "the environment's ZIO_GATEWAY_MAX_CREDITS sets no option; did you mean ZIO_GATEWAY_MAX_CREDIT?",
		"ZIO_GATEWAY_ROUTES=x":                            "the environment's ZIO_GATEWAY_ROUTES sets no option",
		"ZIO_GATEWAY_MAX_FLOWS=0":                         "ZIO_GATEWAY_MAX_FLOWS: max-flows is 0, want more than 0",
		"ZIO_GATEWAY_MAX_FLOWS=x":                         `ZIO_GATEWAY_MAX_FLOWS: --max-flows: is "x", want a whole number`,
		"ZIO_GATEWAY_LOG_FORMAT=jsn":                      `--log-format: is "jsn", want text or json; did you mean json?`,
	} {
		t.Run(entry, func(t *testing.T) {
			set(t, entry)
			_, _, err := read(t, "max-pending: 5")
			if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
				t.Errorf("%v, want %q", err, want)
			}
		})
	}
	t.Run("empty, over a file", func(t *testing.T) {
		set(t, "ZIO_GATEWAY_MAX_CREDIT=")
		if _, s, err := read(t, "max-credit: 5"); err != nil || s.MaxCredit != 5 {
			t.Errorf("max-credit is %d, %v", s.MaxCredit, err)
		}
	})
	t.Run("that names the file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "elsewhere.yaml")
		if err := os.WriteFile(path, []byte("max-credit: 5\nmax-flows: x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		set(t, "ZIO_GATEWAY_CONFIG="+path)
		if _, _, err := read(t, ""); err == nil || !strings.HasPrefix(err.Error(), path+":2:12: max-flows") {
			t.Error(err)
		}
	})
}

// TestInWords: one wrong value is told in the same words, wherever it was given.
func TestInWords(t *testing.T) {
	t.Parallel()
	var p struct {
		Sort  string   `enum:",id,rate,bytes" default:""`
		State []string `enum:"pending,active"`
		Flow  struct {
			ID uint64 `arg:""`
		} `cmd:""`
		Shell struct {
			Shell string `arg:"" enum:"bash,zsh,fish"`
		} `cmd:""`
		Level struct {
			Level string `arg:"" optional:"" enum:",debug,info" default:""`
		} `cmd:""`
	}
	parser, err := kong.New(&p, settings.Values()...)
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"--sort rat flow 1":     `--sort: is "rat", want id, rate or bytes; did you mean rate?`,
		"--state asleep flow 1": `--state: is "asleep", want pending or active`,
		"flow x":                `id: is "x", want a whole number, 0 or more`,
		"flow 010":              `id: is "010", want a whole number, 0 or more`,
		"shell tcsh":            `shell: is "tcsh", want bash, zsh or fish`,
		"level loud":            `level: is "loud", want debug or info`,
		"--sorts x flow 1":      `unknown flag --sorts, did you mean "--sort"?`,
	} {
		if _, err := parser.Parse(strings.Fields(line)); err == nil || settings.InWords(err).Error() != want {
			t.Errorf("%s: %v, want %s", line, settings.InWords(err), want)
		}
	}
	if settings.InWords(nil) != nil {
		t.Error("nothing is wrong, but for words")
	}
}

// TestSize: with and without a unit, exactly, and what is none.
func TestSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]settings.Size{
		"0": 0, "65536": 65536, "64KiB": 65536, "64 kib": 65536, "64KB": 64000, "1.5GB": 1_500_000_000, "1.5GiB": 3 << 29, "2G": 2_000_000_000,
		"9223372036854775807": 1<<63 - 1, "9007199254740993": 1<<53 + 1, "-5": -5, "7B": 7,
	} {
		var s settings.Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s is %d, %v, want %d", text, s, err, want)
		}
		var again settings.Size
		if err := again.UnmarshalText([]byte(s.String())); s >= 0 && (err != nil || again != s) {
			t.Errorf("%d is written %s, which is %d, %v", s, s, again, err)
		}
	}
	for _, text := range []string{"", "much", "1,5GB", "1.5.5GB", "8EiB", "1e3", "-1GB", "+1", "0x10", "NaN", "1 GB more", "1GBB", "∞", "1.5", "1.5B", ".5", "0.0001KiB", "99EB", "99999999999999999999"} {
		if s := settings.Size(7); s.UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is %d", text, s)
		}
	}
}

// TestPrint: the source of each option stands there, no secret does, and what is printed
// is a file with which all is the same.
func TestPrint(t *testing.T) {
	t.Setenv("ZIO_GATEWAY_MAX_FLOWS", "500")
	given := []string{"--otlp-endpoint=https://me:secret@h:1", "--zmq-server=tcp://127.0.0.1:1", "--zmq-server=ipc:///tmp/a b", "--insecure=http,zmq", "--idle-timeout=90s"}
	reading, s, err := read(t, "max-message: 1MB\nroutes: [{name: a, exec: {command: [x, --password=secret]}}]\n", given...)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := reading.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`max-flows: 500 +# ZIO_GATEWAY_MAX_FLOWS`, `max-message: 1MB +# gateway.yaml:1`, `idle-timeout: 1m30s +# --idle-timeout`, `max-pending: 5000 +# default`,
		`#routes: \[a\] +# gateway.yaml:2`, `otlp-endpoint: https://me:xxxxx@h:1 +# --otlp-endpoint`, `insecure: zmq,http +# --insecure`,
	} {
		if !regexp.MustCompile("(?m)^" + want + "$").MatchString(out.String()) {
			t.Errorf("%s is not in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "secret") {
		t.Errorf("a secret is in\n%s", out.String())
	}
	t.Setenv("ZIO_GATEWAY_MAX_FLOWS", "")
	_, again, err := read(t, out.String())
	if err != nil {
		t.Fatal(err)
	}
	again.Routes, again.OTLPEndpoint = s.Routes, s.OTLPEndpoint
	if is, was := fmt.Sprintf("%+v", again), fmt.Sprintf("%+v", s); is != was {
		t.Errorf("what is printed reads as\n%s\nand was\n%s", is, was)
	}
}

// TestExample: it is all defaults as it stands, and with each default set as well; what is
// no default can be read.
func TestExample(t *testing.T) {
	text, err := settings.Example()
	if err != nil {
		t.Fatal(err)
	}
	_, want, err := read(t, "")
	if err != nil {
		t.Fatal(err)
	}
	keys := regexp.MustCompile(`(?m)^#([a-z][a-z-]+: \S.*)$`)
	examples := regexp.MustCompile(`(?m)^#((?:tls-cert|tls-key|tls-client-ca|identities|zmq-curve-key|ready-file|cluster|cluster-(?:node|listen|peer|join|keys)|otlp-endpoint|otlp-protocol): \S.*)$`)
	for _, file := range []string{text, keys.ReplaceAllString(examples.ReplaceAllString(text, ""), "$1")} {
		if _, is, err := read(t, file); err != nil || fmt.Sprintf("%+v", is) != fmt.Sprintf("%+v", want) {
			t.Errorf("%v: reads as\n%+v\nwant\n%+v\n%s", err, is, want, file)
		}
	}
	uncommented := regexp.MustCompile(`(?m)^#([a-z-]+:.*|- .*|  (?:  )?[a-z]+:.*)$`).ReplaceAllString(text, "$1")
	d, err := yamlfile.Parse("example", []byte(uncommented))
	if err != nil {
		t.Fatalf("%v\n%s", err, uncommented)
	}
	reading, _, err := read(t, uncommented)
	if err != nil {
		t.Errorf("%v\n%s", err, uncommented)
	}
	if len(d.Keys()) != len(reading.Names()) {
		t.Errorf("%d keys, and %d options", len(d.Keys()), len(reading.Names()))
	}
}

// TestGenerated: what is generated is as it has to be.
func TestGenerated(t *testing.T) {
	t.Parallel()
	const root = "../../../../"
	is, err := os.ReadFile(root + "docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if want, err := settings.Reference(string(is)); err != nil || want != string(is) {
		t.Errorf("%v: docs/configuration.md is not what is generated: run 'make gen'", err)
	}
	is, err = os.ReadFile(root + "deploy/gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if want, err := settings.Example(); err != nil || want != string(is) {
		t.Errorf("%v: deploy/gateway.yaml is not what is generated: run 'make gen'", err)
	}
}

// TestReadyFile: the ready file of a command line that can't be read is found.
func TestReadyFile(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"good.yaml": "ready-file: of-file\nmax-credit: zzz\n", "bad.yaml": "ready-file: [\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for arguments, want := range map[string]string{
		"serve --ready-file a --max-credit zzz": "a", "serve --max-credit zzz --ready-file=b": "b", "serve --config=good.yaml": "of-file",
		"serve --config bad.yaml": "", "serve --config none.yaml --nonsense": "", "get --ready-file a": "", "serve --print-config --ready-file a": "", "serve --ready-file": "",
	} {
		if got := settings.ReadyFile(strings.Fields(arguments)); got != want {
			t.Errorf("%s: %q, want %q", arguments, got, want)
		}
	}
	t.Setenv("ZIO_GATEWAY_READY_FILE", "of-environment")
	if got := settings.ReadyFile([]string{"serve", "--max-credit"}); got != "of-environment" {
		t.Error(got)
	}
}
