package server

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/tap"

	"github.com/zioflow/gateway/internal/crowd"
	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/server/conns"
)

// visiting is a stream of a visitor's connection.
type visiting struct {
	grpc.ServerStream
	ctx context.Context
}

func (v *visiting) Context() context.Context { return v.ctx }

// TestCallsWaitUntilTheyBegin: from when a call has come in until the interceptors are
// called it counts as one that waits, if it is going to begin at all.
func TestCallsWaitUntilTheyBegin(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer func() { _, _ = near.Close(), far.Close() }()
	visitor := crowd.New(crowd.Limits{Strangers: 1, Known: 1, Calls: 1000, Burst: 1000}).Enter(near)
	ctx := peer.NewContext(t.Context(), &peer.Peer{Addr: near.RemoteAddr(), AuthInfo: &connInfo{AuthInfo: nil, visitor: visitor, conn: conns.NewTable(conns.Options{}).Add(near, near)}})
	counters, allowed := newCounters(nil), newAllowances(1)
	d := &registrar{
		counters: counters, allowed: allowed,
		chain: newChain(logs.NewSampler(nil, logs.Options{}), counters, entrance{}, newLimiter(RateLimits{}), allowed),
	}
	want := func(what string, n int64) {
		t.Helper()
		if got := visitor.Waiting(); got != n {
			t.Errorf("%s: %d calls wait, want %d", what, got, n)
		}
	}
	const method = "/s/m"
	for range 3 {
		if _, err := d.tap(ctx, &tap.Info{FullMethodName: method}); err != nil {
			t.Fatal(err)
		}
	}
	want("three have come in", 3)
	late, cancel := context.WithCancel(ctx)
	cancel()
	_, _ = d.tap(late, &tap.Info{FullMethodName: method})
	want("one that is over already", 3)
	_, _ = d.tap(ctx, &tap.Info{FullMethodName: "none"})
	want("one that gRPC refuses", 3)

	stream := func(any, grpc.ServerStream) error {
		want("a stream has begun", 2)
		return nil
	}
	if err := d.chain.stream(nil, &visiting{ctx: ctx}, &grpc.StreamServerInfo{FullMethod: method}, stream); err != nil {
		t.Error(err)
	}
	_, err := d.chain.unary(ctx, nil, &grpc.UnaryServerInfo{FullMethod: method}, func(context.Context, any) (any, error) {
		want("a unary call has begun", 1)
		return nil, nil
	})
	if err != nil {
		t.Error(err)
	}
}
