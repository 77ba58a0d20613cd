package loopback_test

import (
	"testing"

	"github.com/zioflow/gateway/internal/loopback"
)

func TestHostPort(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"127.0.0.1:1": true, "127.9.0.1:1": true, "[::1]:1": true, "localhost:1": true, "lo:1": true, "nonsense": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "192.0.2.1:1": false, "example.org:1": false, "local:1": false,
	} {
		if got := loopback.HostPort(address); got != want {
			t.Errorf("%s: got %v, want %v", address, got, want)
		}
	}
	if loopback.Host("lo") || !loopback.Host("localhost") || !loopback.Host("::1") {
		t.Error("a host is loopback by its own name or address alone")
	}
}
