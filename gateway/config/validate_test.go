package config

import (
	"strings"
	"testing"
)

// TestAddressesRefused: what is no address of gRPC or HTTP is told by the option's name,
// before anything is bound.
func TestAddressesRefused(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"127.0.0.1:0": "", "127.0.0.1:65535": "", "127.0.0.1:*": "", "localhost:7575": "", "[::1]:7575": "", "none": "",
		"unix:/run/zio": "", "unix:///run/zio": "", "unix:zio": "", "unix:": "want unix:PATH", "unix:/run/": "want unix:PATH",
		"unix:@zio": "has no mode", "unix://zio": "want unix:///PATH", "unix:/" + strings.Repeat("x", 107): "the path has 108 bytes, the system takes 107",
		"*:7575": "reachable from other machines", ":7575": "reachable from other machines",
		"127.0.0.1:65536": `the port is "65536"`, "127.0.0.1:7575x": `the port is "7575x"`, "127.0.0.1:http": `the port is "http"`,
		"127.0.0.1:+1": `the port is "+1"`, "127.0.0.1:": `the port is ""`, "127.0.0.1": "or unix:PATH", "::1:7575": "want HOST:PORT",
		"http://127.0.0.1:7575": "want HOST:PORT", "7575": "want HOST:PORT",
	} {
		for option, set := range map[string]func(*Config){
			"--grpc": func(c *Config) { c.GRPC.Addresses = []string{"127.0.0.1:1", address} }, "--http": func(c *Config) { c.HTTP.Address = address },
		} {
			c := Default()
			set(&c)
			err := c.Validate()
			if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), option+": "+address) || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s %s: %v, want %q", option, address, err, want)
			}
		}
	}
}
