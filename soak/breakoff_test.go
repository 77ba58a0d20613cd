//go:build soak

package soak

import (
	"context"
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/breakoff"
)

// breakOffTrials is how often each client breaks off through each proxy.
const breakOffTrials = 200

// TestBreakingOff has clients of three gRPC implementations break off in the middle of
// a flow, directly and behind two proxies: not one of the flows may look complete.
func TestBreakingOff(t *testing.T) {
	g := startGateway(t)
	address := g.addresses[viaGRPC]
	paths := map[string]string{"direct": address}
	for name, start := range map[string]func(context.Context, string, string) (*breakoff.Proxy, error){
		"HAProxy": breakoff.HAProxy, "nginx": breakoff.Nginx,
	} {
		proxy, err := start(t.Context(), t.TempDir(), address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(proxy.Close)
		paths[name] = proxy.Address
	}
	for client, peer := range map[string]func() breakoff.Peer{
		"grpc-js": func() breakoff.Peer { return breakoff.Node("..") },
		"grpcio":  func() breakoff.Peer { return breakoff.Python("..") },
		"grpc-go": breakoff.Go,
	} {
		for path, through := range paths {
			t.Run(client+" "+path, func(t *testing.T) {
				t.Parallel()
				breakOffOften(t, address, through, client+" "+path, peer())
			})
		}
	}
}

func breakOffOften(t *testing.T, address, through, name string, peer breakoff.Peer) {
	t.Cleanup(peer.Close)
	conn, err := connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	dispatcher, err := breakoff.NewDispatcher(t.Context(), conn, name)
	if err != nil {
		t.Fatal(err)
	}
	calls, ends := []string{"open", "put", "handle", "take"}, []string{"cancel", "deadline", "close", "cancel", "kill"}
	var seen tally
	for n := range scaled(breakOffTrials, 20) {
		job := breakoff.Job{
			Address: through, Call: calls[n%len(calls)], End: ends[n/len(calls)%len(ends)], Dats: 1 + n%7, Size: 1 + n%3*20_000, Credit: 10,
		}
		if job.End == "deadline" {
			job.DeadlineMS = 200
		}
		got, err := dispatcher.Try(t.Context(), peer, job)
		if err != nil {
			t.Fatalf("%+v: %v", job, err)
		}
		seen.add(fmt.Sprintf("%v, %v", got.Reason, got.Status.Code()))
		if got.Reason != gatewayv1.EndReason_END_REASON_PEER_GONE || got.Status.Code() != codes.Aborted {
			t.Errorf("%+v: after %d DATs %v, the other side was told %v", job, got.Taken, got.Reason, got.Status)
		}
	}
	report(t, "peer_gone to both sides, always", "%v", &seen)
}
