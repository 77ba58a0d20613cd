package main_test

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	zioflow "github.com/zioflow/gateway/clients/go"
)

// TestServeAgain kills the gateway again and again under a handler of the Go client. The
// first flow of whoever comes after that finds it. The thorough test does it more often, and
// has a flow wait for its handler no longer than a gateway does by default.
func TestServeAgain(t *testing.T) {
	t.Parallel()
	restarts, wait := 3, "--handler-wait=20s"
	if thorough {
		restarts, wait = 20, "--handler-wait=2s"
	}
	p := serve(t, []string{wait}, nil)
	addresses := []string{"--grpc=" + p.addresses[viaGRPC], "--zmq-server=none", "--zmq-router=none", "--http=none"}
	g, err := zioflow.Dial(p.addresses[viaGRPC])
	if err != nil {
		t.Fatal(err)
	}
	h := newAgainHandler()
	served := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { served <- g.Serve(ctx, h.listener(), h.take) }()
	<-h.listening
	for n := range restarts {
		h.forget()
		p.signal(t, syscall.SIGKILL)
		p.wait(t, patience)
		// It is away for some attempts, each after a longer pause, or for none.
		for range 1 + 3*(n%4) {
			h.waitLost(t)
		}
		p = serveAt(t, addresses, []string{wait}, nil)
		giveAgain(t, p.addresses[viaGRPC])
		eventually(t, "the handler", func() error {
			if got := h.count(); got != n+1 {
				return fmt.Errorf("has handled %d flows after %d restarts", got, n+1)
			}
			return nil
		})
	}
	cancel()
	if err := <-served; err == nil || ctx.Err() == nil {
		t.Errorf("Serve returned %v", err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}

// giveAgain is the first flow of a program that has just been started.
func giveAgain(t *testing.T, address string) {
	t.Helper()
	err := with(address, nil, func(g *zioflow.Gateway) error {
		giver, err := g.Give(t.Context(), zioflow.Bot{Credit: 1, Attributes: map[string]any{"stream": "again"}})
		if err != nil {
			return err
		}
		defer giver.Abort()
		if err := giver.Put(t.Context(), zioflow.Dat{Payload: [][]byte{[]byte("data")}}); err != nil {
			return err
		}
		return giver.Close(t.Context())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// againHandler counts what it has handled, and tells when its listener is lost.
type againHandler struct {
	listening chan struct{} // closed at the first time
	lost      chan struct{}

	mu      sync.Mutex
	first   sync.Once
	handled int // guarded by mu
}

func newAgainHandler() *againHandler {
	return &againHandler{listening: make(chan struct{}), lost: make(chan struct{}, 1000)}
}

func (h *againHandler) listener() zioflow.Listener {
	return zioflow.Listener{
		Name: "again", Match: `attributes.stream == "again"`,
		OnListening: func(uint64) { h.first.Do(func() { close(h.listening) }) },
		OnLost:      func(error, time.Duration) { h.lost <- struct{}{} },
	}
}

func (h *againHandler) take(ctx context.Context, o *zioflow.Offer) error {
	taker, err := o.Take(ctx, zioflow.Bot{})
	if err != nil {
		return err
	}
	for _, err := range taker.All(ctx) {
		if err != nil {
			return err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.handled++
	return nil
}

func (h *againHandler) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.handled
}

// forget leaves out what was lost before.
func (h *againHandler) forget() {
	for len(h.lost) > 0 {
		<-h.lost
	}
}

func (h *againHandler) waitLost(t *testing.T) {
	t.Helper()
	select {
	case <-h.lost:
	case <-time.After(patience):
		t.Fatal("the handler has not noticed that the gateway is gone")
	}
}
