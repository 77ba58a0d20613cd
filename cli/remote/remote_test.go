package remote_test

import (
	"testing"

	"github.com/zioflow/gateway/cli/remote"
)

// TestFirst: where a gateway serves at several addresses, a client goes to one that it can reach.
func TestFirst(t *testing.T) {
	t.Parallel()
	for addresses, want := range map[string]string{
		"":                                     "",
		"none":                                 "",
		"127.0.0.1:7575":                       "127.0.0.1:7575",
		"unix:/run/gateway/grpc":               "unix:/run/gateway/grpc",
		"10.0.0.1:7575,unix:/run/gateway/grpc": "10.0.0.1:7575",
		"none, [::1]:7575 ,127.0.0.1:7575":     "[::1]:7575",
		"*:7575,127.0.0.1:1":                   "127.0.0.1:7575",
		"tcp://*:5555,tcp://10.0.0.1:5555":     "tcp://127.0.0.1:5555",
		"tcp://10.0.0.1:5555":                  "tcp://10.0.0.1:5555",
	} {
		if got := remote.First(addresses); got != want {
			t.Errorf("of %q the first is %q, want %q", addresses, got, want)
		}
	}
}
