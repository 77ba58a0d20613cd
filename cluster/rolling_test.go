package cluster_test

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/gateway/config"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// freeAddress is one that nobody has bound just now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// fleet is nodes that are restarted one after the other, each at addresses that stay, and
// those who use them.
type fleet struct {
	t       *testing.T
	rig     *rig
	configs []config.Cluster
	grpc    []string
	conns   []*grpc.ClientConn
	running []*process

	ctx  context.Context
	done sync.WaitGroup

	completed, draining, away atomic.Int64
	mu                        sync.Mutex
	failed                    map[string]int // guarded by mu; what else became of calls
}

func newFleet(t *testing.T, n int) *fleet {
	t.Helper()
	f := &fleet{t: t, rig: newRig(t), failed: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	f.ctx = ctx
	t.Cleanup(func() {
		cancel()
		for _, conn := range f.conns {
			_ = conn.Close()
		}
		f.done.Wait()
	})
	for i := range n {
		c := f.rig.config(fmt.Sprintf("n%d", i)).Cluster
		c.Listen, c.Peer = freeAddress(t), freeAddress(t)
		f.configs, f.grpc = append(f.configs, c), append(f.grpc, freeAddress(t))
		conn, err := grpc.NewClient("passthrough:///"+f.grpc[i], grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithConnectParams(
			grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1, MaxDelay: 100 * time.Millisecond}, MinConnectTimeout: time.Second}))
		if err != nil {
			t.Fatal(err)
		}
		f.conns = append(f.conns, conn)
	}
	for i := range n {
		for j := range n {
			if i != j {
				f.configs[i].Join = append(f.configs[i].Join, f.configs[j].Listen)
			}
		}
		f.running = append(f.running, f.start(i))
	}
	return f
}

func (f *fleet) start(i int) *process {
	f.t.Helper()
	p := f.rig.spawn(f.configs[i], func(c *exec.Cmd) { c.Env = append(c.Env, grpcVariable+"="+f.grpc[i]) })
	p.dial()
	return p
}

// handle listens at a node, and again when it is back.
func (f *fleet) handle(i int) {
	for f.ctx.Err() == nil {
		l, err := gatewayv1.NewHandlerServiceClient(f.conns[i]).Listen(f.ctx, &gatewayv1.ListenRequest{Name: "one"}, grpc.WaitForReady(true))
		for err == nil {
			var event *gatewayv1.ListenResponse
			if event, err = l.Recv(); event.GetOffer() != nil {
				f.done.Go(func() { _ = (&node{conn: f.conns[i]}).giveOne(f.ctx, event.GetOffer().GetCid()) }) // its client is told
			}
		}
	}
}

// call opens one flow after the other, at the next node when it is told to go elsewhere.
func (f *fleet) call(at int) {
	for ; f.ctx.Err() == nil; at = (at + 1) % len(f.conns) {
		for f.ctx.Err() == nil {
			what, err := callOnce(f.ctx, f.conns[at])
			if f.ctx.Err() != nil {
				return
			}
			if err == nil && what == "completed" {
				f.completed.Add(1)
				continue
			}
			words := what
			if err != nil {
				words = status.Convert(err).Code().String() + " " + err.Error()
			}
			switch {
			case strings.Contains(words, "draining"):
				f.draining.Add(1)
			case strings.Contains(words, "connection refused"):
				f.away.Add(1) // it was never called
			default:
				f.mu.Lock()
				f.failed[words]++
				f.mu.Unlock()
			}
			break
		}
	}
}

// callOnce opens a flow, and takes what there is: "completed", or how it has ended.
func callOnce(ctx context.Context, conn *grpc.ClientConn) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s, err := gatewayv1.NewFlowServiceClient(conn).Open(ctx)
	if err != nil {
		return "", err
	}
	_ = s.Send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Bot{Bot: &gatewayv1.Bot{Direction: inject, Credit: 1}}}) // why not is received
	got := false
	for {
		m, err := s.Recv()
		switch {
		case err != nil:
			return "", err
		case m.GetBot() != nil:
			_ = s.Send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Pay{Pay: &gatewayv1.Pay{Credit: 1}}})
		case m.GetDat() != nil:
			got = true
		case m.GetEot() != nil:
			_ = s.Send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Eot{Eot: &gatewayv1.Eot{}}})
			_ = s.CloseSend()
			if reason := m.GetEot().GetReason(); !got || reason > gatewayv1.EndReason_END_REASON_COMPLETED {
				return fmt.Sprintf("%s %v %s", strings.ToLower(reason.String()), got, m.GetEot().GetDetail()), nil
			}
			return "completed", nil
		}
	}
}

// TestRollingRestart: three nodes are restarted, one after the other, under load. Every call
// that fails was told that its node drains.
func TestRollingRestart(t *testing.T) {
	rounds := soaking(t)
	f := newFleet(t, 3)
	for i := range f.running {
		f.done.Go(func() { f.handle(i) })
	}
	for _, p := range f.running {
		p.sees(3, 3)
	}
	for i := range 6 {
		f.done.Go(func() { f.call(i % 3) })
	}
	for range rounds {
		for i, p := range f.running {
			before := f.completed.Load()
			p.signal(syscall.SIGTERM)
			if err := p.command.Wait(); err != nil {
				t.Errorf("%s: %v", p.name, err)
			}
			f.running[i] = f.start(i)
			for _, p := range f.running {
				p.sees(3, 3)
			}
			until(t, "calls go on", func() bool { return f.completed.Load() > before+10 })
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t.Logf("%d calls completed, %d were told that their node drains, %d found it not there", f.completed.Load(), f.draining.Load(), f.away.Load())
	for words, n := range f.failed {
		t.Errorf("%d calls failed otherwise: %s", n, words)
	}
}
