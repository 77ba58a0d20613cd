package main_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/breakoff"
)

// breakOffTrials is how often each way is tried; the soak does it more often.
var breakOffTrials = map[string]int{"cancel": 3, "close": 2, "deadline": 2, "kill": 1}

// TestBreakingOff_BRK_17: whoever breaks off in the middle of a flow, in whatever way,
// language and place, never makes it look complete. Clients that are cancelled, and
// the proxies of those that are lost, close their sending half before their stream is
// reset.
func TestBreakingOff_BRK_17(t *testing.T) {
	peers := map[string]func() breakoff.Peer{
		"grpc-js": func() breakoff.Peer { return breakoff.Node("..") },
		"grpcio":  func() breakoff.Peer { return breakoff.Python("..") },
		"grpc-go": breakoff.Go,
	}
	proxies := map[string]func(context.Context, string, string) (*breakoff.Proxy, error){
		"direct": nil, "HAProxy": breakoff.HAProxy, "nginx": breakoff.Nginx,
	}
	for path, start := range proxies {
		gateway := serve(t, nil, nil).addresses[viaGRPC]
		address := gateway
		if start != nil {
			proxy, err := start(t.Context(), t.TempDir(), gateway)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(proxy.Close)
			address = proxy.Address
		}
		for name, peer := range peers {
			t.Run(name+" "+path, func(t *testing.T) {
				t.Parallel()
				d := newBreakOffDesk(t, gateway, name+" "+path)
				d.everyWay(t, peer(), address)
			})
		}
		t.Run("nobody "+path, func(t *testing.T) {
			t.Parallel()
			newBreakOffDesk(t, gateway, path).noWay(t, address)
		})
	}
}

type breakOffDispatcher struct {
	*breakoff.Dispatcher
	ctx context.Context
}

func newBreakOffDesk(t *testing.T, gateway, name string) breakOffDispatcher {
	t.Helper()
	conn, err := connect(gateway)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute) // for all ways, beside other tests
	t.Cleanup(cancel)
	dispatcher, err := breakoff.NewDispatcher(ctx, conn, name)
	if err != nil {
		t.Fatal(err)
	}
	return breakOffDispatcher{dispatcher, ctx}
}

// everyWay has a peer break off in every way.
func (d breakOffDispatcher) everyWay(t *testing.T, peer breakoff.Peer, address string) {
	t.Cleanup(peer.Close)
	for _, call := range []string{"open", "put", "handle", "take"} {
		for end, trials := range breakOffTrials {
			for n := range trials {
				job := breakoff.Job{Address: address, Call: call, End: end, Dats: 5, Size: 20_000, Credit: 10}
				if end == "deadline" {
					job.DeadlineMS = 500
				}
				what := fmt.Sprintf("%s, %s, trial %d", call, end, n)
				got, err := d.Try(d.ctx, peer, job)
				switch {
				case err != nil:
					t.Fatalf("%s: %v", what, err)
				case got.Reason != gatewayv1.EndReason_END_REASON_PEER_GONE || got.Status.Code() != codes.Aborted:
					t.Errorf("%s: after %d DATs the flow is %v, and the other side was told %v", what, got.Taken, got.Reason, got.Status)
				}
			}
		}
	}
}

// noWay has a peer close its sending half and stay, which ends in good order.
func (d breakOffDispatcher) noWay(t *testing.T, address string) {
	peer := breakoff.Go()
	t.Cleanup(peer.Close)
	for _, call := range []string{"open", "put", "handle", "take"} {
		got, err := d.Try(d.ctx, peer, breakoff.Job{Address: address, Call: call, End: "finish", Dats: 5, Size: 20_000, Credit: 10})
		if err != nil || got.Reason != gatewayv1.EndReason_END_REASON_COMPLETED || got.Status.Code() != codes.OK {
			t.Errorf("%s: the flow is %v, the other side was told %v; %v", call, got.Reason, got.Status, err)
		}
	}
}
