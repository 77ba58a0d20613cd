package main

import (
	"os"
	"path/filepath"
	"slices"
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

// TestEmptyConfiguration: a file that somebody is about to write is no configuration.
func TestEmptyConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	for text, want := range map[string]string{"": path + ": is empty", "# all as it is\n": ""} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := parse([]string{"serve", "--config", path})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestAddressesOfGRPC: there may be several, wherever they are given. It runs alone, as the
// environment is everybody's.
func TestAddressesOfGRPC(t *testing.T) {
	want := []string{"127.0.0.1:1", "unix:/run/zio"}
	for what, c := range map[string]struct {
		environment, yaml string
		arguments         []string
	}{
		"command line": {arguments: []string{"--grpc", want[0], "--grpc", want[1]}},
		"one flag":     {arguments: []string{"--grpc=" + strings.Join(want, ",")}},
		"environment":  {environment: strings.Join(want, ",")},
		"file, a list": {yaml: "grpc: ['127.0.0.1:1', 'unix:/run/zio']"},
		"file, a text": {yaml: "grpc: 127.0.0.1:1,unix:/run/zio"},
	} {
		t.Run(what, func(t *testing.T) {
			if c.environment != "" {
				t.Setenv("ZIO_GATEWAY_GRPC", c.environment)
			}
			flags, err := serveFlags(t, c.yaml, c.arguments...)
			if err != nil {
				t.Fatal(err)
			}
			if got := flags.config().GRPC.Addresses; !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

// TestEveryCommandKnowsItsEnvironment: a slip in a variable's name would have another gateway be
// asked, or drained. It runs alone, as the environment is everybody's.
func TestEveryCommandKnowsItsEnvironment(t *testing.T) {
	t.Setenv("ZIO_GATEWAY_ADDRESSES", "127.0.0.1:1")
	const want = "the environment's ZIO_GATEWAY_ADDRESSES sets no option; did you mean ZIO_GATEWAY_ADDRESS?"
	for _, command := range []string{"status", "drain", "put a=1", "top", "keygen token", "check x", "serve"} {
		if _, err := parse(strings.Fields(command)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", command, err, want)
		}
	}
	for _, command := range []string{"version", "man", "completion bash"} {
		if _, err := parse(strings.Fields(command)); err != nil {
			t.Errorf("%s: %v", command, err)
		}
	}
}

// TestNoName: a variable of a script's that is empty is no file with nothing wrong in it.
func TestNoName(t *testing.T) {
	t.Parallel()
	if err := (&checkCommand{}).Run(); err == nil || err.Error() != "the file's name is empty" {
		t.Error(err)
	}
}
