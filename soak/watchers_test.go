//go:build soak

package soak

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// TestWatchers has a gateway serve ten thousand idle flows, a hundred watchers
// and one that does not read: the flows that move keep their rate. It is compared
// with that of a second gateway, with the same load at the same time and nobody
// who looks on. On both, flows begin and end, so that there is something to see.
func TestWatchers(t *testing.T) {
	const flags = "--max-flows=30000"
	g, control := startGateway(t, append(patientFlags, flags)...), startGateway(t, append(patientFlags, flags)...)
	var (
		desks = [2]*desk{openDesk(t, g), openDesk(t, control)}
		moved [2]atomic.Int64
		done  = make(chan struct{})
		wait  sync.WaitGroup
	)
	for i, d := range desks {
		for n := range 9 {
			if err := bustle(d, transports[n%3], transports[n/3], &moved[i], done, &wait); err != nil {
				t.Fatal(err)
			}
		}
		wait.Go(func() { comeAndGo(t, d.gateway, done) })
	}
	window := lasting(20*time.Second, 2*time.Second)
	time.Sleep(window / 10) // warm up
	before := rates(&moved, window)

	dialer := &sharedDialer{via: viaGRPC, address: g.addresses[viaGRPC]}
	defer dialer.close()
	flows := scaled(10_000, 200)
	for range flows {
		if err := dialer.idleFlow(desks[0]); err != nil {
			t.Fatal(err)
		}
	}
	seen := watchAll(t, g, 100)
	during := rates(&moved, window)
	events := seen.Load()
	close(done)
	wait.Wait()

	kept := during[0] / during[1] * before[1] / before[0]
	report(t, "the others keep ≥ 95 % of their rate",
		"%.0f %%: %.0f/s (control %.0f/s) before, %.0f/s (control %.0f/s) for %v with %d flows, 100 watchers that saw %d events, and one that did not read",
		100*kept, before[0], before[1], during[0], during[1], window, flows, events)
	if kept < 0.95 {
		t.Errorf("the others kept %.0f %% of their rate", 100*kept)
	}
	if events == 0 {
		t.Error("the watchers saw nothing")
	}
}

// comeAndGo has two flows a second begin and end until done.
func comeAndGo(t *testing.T, g *gateway, done <-chan struct{}) {
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-ticker.C:
			if err := briefFlow(g, i); err != nil {
				t.Error(err)
				return
			}
		case <-done:
			return
		}
	}
}

// idleFlow joins two peers that then do nothing.
func (s *sharedDialer) idleFlow(d *desk) error {
	client, err := s.dial()
	if err != nil {
		return err
	}
	handler, err := s.dial()
	if err != nil {
		return err
	}
	_, _, err = d.join(client, handler, true, 10)
	return err
}

// watchAll has that many watchers read, until the test's end, and one more not.
// It answers how many events they have seen.
func watchAll(t *testing.T, g *gateway, readers int) *atomic.Int64 {
	t.Helper()
	seen := new(atomic.Int64)
	ctx, stop := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	t.Cleanup(func() { stop(); wait.Wait() })
	for n := range readers + 1 {
		p, err := dialGRPC(g.addresses[viaGRPC])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.conn.Close() })
		stream, err := gatewayv1.NewAdminServiceClient(p.conn).WatchFlows(ctx, &gatewayv1.WatchFlowsRequest{}, grpc.WaitForReady(true))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Header(); err != nil { // the watch has begun
			t.Fatal(err)
		}
		if n == readers {
			continue
		}
		wait.Go(func() {
			for {
				if _, err := stream.Recv(); err != nil {
					return
				}
				seen.Add(1)
			}
		})
	}
	return seen
}
