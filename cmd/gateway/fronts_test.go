package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// serveFlags parses the arguments of serve, with a configuration file of that text
// unless it is empty.
func serveFlags(t *testing.T, yaml string, arguments ...string) (*serveCommand, error) {
	t.Helper()
	arguments = append([]string{"serve"}, arguments...)
	if yaml != "" {
		path := filepath.Join(t.TempDir(), "gateway.yaml")
		if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		arguments = append(arguments, "--config", path)
	}
	parsed, err := parse(arguments)
	if err != nil {
		return nil, err
	}
	return &parsed.Model.Target.Addr().Interface().(*cli).Serve, nil
}

// TestInsecureNames: on the command line, in the environment and in the file alike. It
// runs alone, as the environment is everybody's.
func TestInsecureNames(t *testing.T) {
	const all = "grpc,zmq,http"
	for what, c := range map[string]struct {
		environment, yaml string
		arguments         []string
		want              string
	}{
		"nothing":                 {want: "none"},
		"one":                     {arguments: []string{"--insecure", "grpc"}, want: "grpc"},
		"some":                    {arguments: []string{"--insecure=zmq,http"}, want: "zmq,http"},
		"with spaces":             {arguments: []string{"--insecure", "zmq, http"}, want: "zmq,http"},
		"one after the other":     {arguments: []string{"--insecure", "http", "--insecure", "admin"}, want: "http,admin"},
		"bare":                    {arguments: []string{"--insecure"}, want: all},
		"bare before another":     {arguments: []string{"--insecure", "--max-flows", "7"}, want: all},
		"true":                    {arguments: []string{"--insecure=true"}, want: all},
		"false":                   {arguments: []string{"--insecure=false"}, want: "none"},
		"environment":             {environment: "zmq", want: "zmq"},
		"environment, true":       {environment: "true", want: all},
		"a flag before it":        {environment: "zmq", arguments: []string{"--insecure=grpc"}, want: "grpc"},
		"file":                    {yaml: "insecure: [zmq, admin]", want: "zmq,admin"},
		"file, one":               {yaml: "insecure: http", want: "http"},
		"file, true":              {yaml: "insecure: true", want: all},
		"file, false":             {yaml: "insecure: false", want: "none"},
		"a flag before the file":  {yaml: "insecure: zmq", arguments: []string{"--insecure=grpc"}, want: "grpc"},
		"environment before file": {environment: "http", yaml: "insecure: zmq", want: "http"},
	} {
		t.Run(what, func(t *testing.T) {
			if c.environment != "" {
				t.Setenv("ZIO_GATEWAY_INSECURE", c.environment)
			}
			flags, err := serveFlags(t, c.yaml, c.arguments...)
			if err != nil {
				t.Fatal(err)
			}
			if got := flags.Insecure.String(); got != c.want {
				t.Errorf("opens %s, want %s", got, c.want)
			}
		})
	}
	if _, err := serveFlags(t, "", "--insecure=grpc,smtp"); err == nil || !strings.Contains(err.Error(), `"smtp" is no front; there are grpc, zmq, http, admin`) {
		t.Errorf("a front that there is not: %v", err)
	}
}

// TestInsecureOpensWhatItNames, and nothing else.
func TestInsecureOpensWhatItNames(t *testing.T) {
	open := map[string]string{
		"--zmq-server=tcp://0.0.0.0:5555": "zmq", "--zmq-router=tcp://*:5556": "zmq", "--grpc=0.0.0.0:7575": "grpc", "--http=:7576": "http",
	}
	for address, front := range open {
		for _, named := range []string{"zmq", "grpc", "http", "admin"} {
			flags, err := serveFlags(t, "", address, "--insecure="+named)
			if named == front && err != nil || named != front && (err == nil || !strings.Contains(err.Error(), "--insecure "+front)) {
				t.Errorf("%s with --insecure=%s: %v", address, named, err)
			}
			if err != nil {
				continue
			}
			var log bytes.Buffer
			flags.warnOpen(addresses{ZMQServer: flags.ZMQServer, ZMQRouter: flags.ZMQRouter, GRPC: flags.GRPC, HTTP: flags.HTTP},
				slog.New(slog.NewTextHandler(&log, nil)))
			text := log.String()
			if strings.Count(text, "\n") != 1 || !strings.Contains(text, "level=WARN") || !strings.Contains(text, "front="+front) ||
				strings.Contains(text, "admin=") != (front == "grpc") || strings.Contains(text, "hint") {
				t.Errorf("%s: logged %s, want a line for the one address", address, text)
			}
		}
	}
}

// TestOpenAddressesWarned: a line says for each what those who come find.
func TestOpenAddressesWarned(t *testing.T) {
	all := addresses{
		ZMQServer: []string{"tcp://0.0.0.0:1", "tcp://127.0.0.1:1", "ipc:///run/zio"}, ZMQRouter: []string{"tcp://[::]:2"},
		GRPC: "[::]:3", HTTP: "192.0.2.1:4",
	}
	for what, c := range map[string]struct {
		arguments, words []string
		lines            int
	}{
		"nothing secured": {[]string{"--insecure"}, []string{
			"front=zmq address=tcp://0.0.0.0:1", `detail="in clear text, and nobody is asked who he is" hint="--insecure zmq opens this front alone"`,
			"front=zmq address=tcp://[::]:2", "front=grpc address=[::]:3", `admin="from this machine alone"`, "front=http address=192.0.2.1:4",
		}, 4},
		"admin named": {[]string{"--insecure=grpc,admin"}, []string{"admin=open"}, 4},
		"encrypted":   {[]string{"--insecure=grpc", "--tls-cert=x", "--tls-key=y"}, []string{`address=[::]:3 detail="nobody is asked who he is"`}, 4},
		"identities":  {[]string{"--identities=x"}, []string{`address=[::]:3 detail="in clear text"`}, 4},
		"secured": {[]string{"--identities=x", "--tls-cert=x", "--tls-key=y", "--zmq-curve-key=z"}, []string{
			"front=http", // metrics are for everybody
		}, 1},
	} {
		flags, err := serveFlags(t, "", c.arguments...)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		var log bytes.Buffer
		flags.warnOpen(all, slog.New(slog.NewTextHandler(&log, nil)))
		if n := strings.Count(log.String(), "level=WARN"); n != c.lines {
			t.Errorf("%s: %d lines, want %d:\n%s", what, n, c.lines, log.String())
		}
		for _, word := range c.words {
			if !strings.Contains(log.String(), word) {
				t.Errorf("%s: logged\n%swant %s in it", what, log.String(), word)
			}
		}
	}
}
