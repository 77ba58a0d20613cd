package dial

import (
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]peerAddress{
		"tcp://127.0.0.1:5555":        {"tcp", "127.0.0.1:5555"},
		"tcp://localhost:05555":       {"tcp", "localhost:5555"},
		"tcp://flow.example.org:1":    {"tcp", "flow.example.org:1"},
		"tcp://[::1]:65535":           {"tcp", "[::1]:65535"},
		"tcp://[fe80::1%eth0]:5555":   {"tcp", "[fe80::1%eth0]:5555"},
		"tcp://0.0.0.0:5555":          {"tcp", "0.0.0.0:5555"},
		"ipc:///run/zio/flow":         {"unix", "/run/zio/flow"},
		"ipc://relative":              {"unix", "relative"},
		"ipc://@abstract":             {"unix", "@abstract"},
		"ipc:///run/with:colon/@name": {"unix", "/run/with:colon/@name"},
	} {
		if got, err := parseAddress(address); err != nil || got != want {
			t.Errorf("%s is %v (%v), want %v", address, got, err, want)
		}
	}
	for address, want := range map[string]string{
		"":                       "begins with",
		"127.0.0.1:5555":         "begins with",
		"udp://127.0.0.1:5555":   "begins with",
		"ipc://":                 "needs a path",
		"ipc://*":                "needs a path",
		"tcp://":                 "form tcp://HOST:PORT",
		"tcp://host":             "form tcp://HOST:PORT",
		"tcp://:5555":            "form tcp://HOST:PORT",
		"tcp://::1:5555":         "form tcp://HOST:PORT",
		"tcp://host:5555/path":   "form tcp://HOST:PORT",
		"tcp://*:5555":           "only a listening end",
		"tcp://host:0":           "port",
		"tcp://host:*":           "port",
		"tcp://host:":            "port",
		"tcp://host:+1":          "port",
		"tcp://host:99999":       "port",
		"tcp://host:http":        "port",
		"tcp://host:5555;host:1": "form tcp://HOST:PORT",
	} {
		if err := CheckAddress(address); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error that says %q", address, err, want)
		}
	}
}
