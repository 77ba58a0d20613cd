package config

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/zioflow/gateway/server/admin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestInsecureOpensWhatItNames, and nothing else.
func TestInsecureOpensWhatItNames(t *testing.T) {
	t.Parallel()
	for _, open := range []struct {
		front string
		at    func(c *Config)
	}{
		{"zmq", func(c *Config) { c.ZMQ.Servers = []string{"tcp://0.0.0.0:5555"} }},
		{"zmq", func(c *Config) { c.ZMQ.Routers = []string{"tcp://*:5556"} }},
		{"grpc", func(c *Config) { c.GRPC.Addresses = []string{"0.0.0.0:7575"} }},
		{"http", func(c *Config) { c.HTTP.Address = ":7576" }},
	} {
		for _, named := range []string{"zmq", "grpc", "http", "admin"} {
			c := Default()
			open.at(&c)
			if err := c.Security.Insecure.Add(named); err != nil {
				t.Fatal(err)
			}
			err := c.Validate()
			if named == open.front && err != nil || named != open.front && (err == nil || !strings.Contains(err.Error(), "--insecure "+open.front)) {
				t.Errorf("%s with --insecure=%s: %v", open.front, named, err)
			}
			if err != nil {
				continue
			}
			text := warnings(&c, configured(&c))
			if strings.Count(text, "\n") != 1 || !strings.Contains(text, "level=WARN") || !strings.Contains(text, "front="+open.front) ||
				strings.Contains(text, "admin=") != (open.front == "grpc") || strings.Contains(text, "hint") {
				t.Errorf("%s: logged %s, want a line for the one address", open.front, text)
			}
		}
	}
}

// configured are the addresses of a configuration, as if they were bound.
func configured(c *Config) (all []admin.Endpoint) {
	for _, t := range Transports() {
		all = append(all, t.Endpoints(c, t.Configured(c)...)...)
	}
	return all
}

// warnings are what is logged of open addresses.
func warnings(c *Config, bound []admin.Endpoint) string {
	var log bytes.Buffer
	c.WarnOpen(bound, slog.New(slog.NewTextHandler(&log, nil)))
	return log.String()
}

// TestOpenAddressesWarned: a line says for each what those who come find.
func TestOpenAddressesWarned(t *testing.T) {
	t.Parallel()
	all := Default()
	all.ZMQ.Servers = []string{"tcp://0.0.0.0:1", "tcp://127.0.0.1:1", "ipc:///run/zio"}
	all.ZMQ.Routers = []string{"tcp://[::]:2"}
	all.GRPC.Addresses, all.HTTP.Address = []string{"[::]:3"}, "192.0.2.1:4"
	for what, test := range map[string]struct {
		insecure []string
		security Security
		words    []string
		lines    int
	}{
		"nothing secured": {[]string{"true"}, Security{}, []string{
			"front=zmq address=tcp://0.0.0.0:1", `detail="in clear text, and nobody is asked who he is" hint="--insecure zmq opens this front alone"`,
			"front=zmq address=tcp://[::]:2", "front=grpc address=[::]:3", `admin="from this machine alone"`, "front=http address=192.0.2.1:4",
		}, 4},
		"admin named": {[]string{"grpc", "admin"}, Security{}, []string{"admin=open"}, 4},
		"encrypted":   {[]string{"grpc"}, Security{TLSCert: "x", TLSKey: "y"}, []string{`address=[::]:3 detail="nobody is asked who he is"`}, 4},
		"identities":  {nil, Security{Identities: "x"}, []string{`address=[::]:3 detail="in clear text"`}, 4},
		"secured": {nil, Security{Identities: "x", TLSCert: "x", TLSKey: "y", CurveKey: "z"}, []string{
			"front=http", // metrics are for everybody
		}, 1},
	} {
		c := all
		c.Security = test.security
		for _, name := range test.insecure {
			if err := c.Security.Insecure.Add(name); err != nil {
				t.Fatal(err)
			}
		}
		text := warnings(&c, configured(&c))
		if n := strings.Count(text, "level=WARN"); n != test.lines {
			t.Errorf("%s: %d lines, want %d:\n%s", what, n, test.lines, text)
		}
		for _, word := range test.words {
			if !strings.Contains(text, word) {
				t.Errorf("%s: logged\n%swant %s in it", what, text, word)
			}
		}
	}
}
