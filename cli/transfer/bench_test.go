package transfer

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/zioflow/gateway/cli/exit"
)

// TestBench: between all ways, everything that was given has come.
func TestBench(t *testing.T) {
	t.Parallel()
	s := serve(t)
	addresses := map[string]string{"grpc": s.GRPC, "zmq-server": first(s.ZMQServer), "zmq-router": first(s.ZMQRouter)}
	for _, via := range vias {
		for _, to := range vias {
			got := run(t, s.command(t, via, "bench", "--to="+to, "--to-address="+addresses[to], "--flows=3", "--count=50", "--size=1000", "--json"))
			var sides []figures
			if err := json.Unmarshal([]byte(got.out), &sides); err != nil || got.code != 0 || len(sides) != 2 {
				t.Errorf("%s to %s: %+v (%v)", via, to, got, err)
				continue
			}
			for i, f := range sides {
				if f.Messages != 150 || f.Bytes != 150_000 || f.Flows != 3 || f.Via != [2]string{via, to}[i] || f.Seconds <= 0 {
					t.Errorf("%s to %s: %+v", via, to, f)
				}
			}
			if d := sides[1].Delays; d["p50"] <= 0 || d["p99"] < d["p50"] || d["max"] < d["p99"] {
				t.Errorf("%s to %s: delays %v", via, to, d)
			}
		}
	}
	if got := run(t, s.command(t, "grpc", "bench", "--count=100", "--size=0")); got.code != 0 || strings.Count(got.out, "\n") != 3 || !strings.Contains(got.out, "DELAY P50") {
		t.Errorf("the table is %+v", got)
	}
	// The environment has where the gateway is to serve.
	listed := command(t, "bench", "--via=zmq-router", "--address="+addresses["zmq-router"], "--to=grpc", "--count=10", "--size=0")
	listed.Env = append(listed.Env, "ZIO_GATEWAY_GRPC=none,"+s.GRPC+",unix:/nowhere")
	if got := run(t, listed); got.code != 0 {
		t.Errorf("with several addresses: %+v", got)
	}
}

// TestBenchFails: where a side cannot reach the gateway, that is the error, and both end.
func TestBenchFails(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for want, c := range map[string]*exec.Cmd{
		"nothing listens at 127.0.0.1:1":          command(t, "bench", "--address=127.0.0.1:1"),
		"tcp://127.0.0.1:1: nobody listens there": s.command(t, "grpc", "bench", "--to=zmq-router", "--to-address=tcp://127.0.0.1:1"),
		"tcp://127.0.0.1:2: nobody listens there": command(t, "bench", "--via=zmq-server", "--address=tcp://127.0.0.1:2", "--grpc="+s.GRPC),
	} {
		if got := run(t, c); got.code != int(exit.Unreachable) || !strings.Contains(got.err, want) {
			t.Errorf("%+v, want %q", got, want)
		}
	}
}
