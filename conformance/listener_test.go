package main_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// listener is a HandlerService.Listen stream and what it is told.
type listener struct {
	conn     *grpc.ClientConn
	handlers gatewayv1.HandlerServiceClient
	events   chan *gatewayv1.ListenResponse // closed when the stream ends
	err      error                          // with which it has, then
}

// listen registers a listener until the test's end.
func (g *inProcess) listen(t *testing.T, request *gatewayv1.ListenRequest) *listener {
	t.Helper()
	conn, err := connect(g.addresses[viaGRPC])
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{conn: conn, handlers: gatewayv1.NewHandlerServiceClient(conn), events: make(chan *gatewayv1.ListenResponse)}
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := l.handlers.Listen(ctx, request)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	go func() {
		defer close(l.events)
		for {
			event, err := stream.Recv()
			if err != nil {
				l.err = err
				return
			}
			select {
			case l.events <- event:
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		_ = conn.Close()
		for range l.events { // until the goroutine has ended
		}
	})
	if l.next(t).GetListening() == nil {
		t.Fatal("a listener's first event is not `listening`")
	}
	return l
}

// next waits for the listener's next event.
func (l *listener) next(t *testing.T) *gatewayv1.ListenResponse {
	t.Helper()
	select {
	case event, ok := <-l.events:
		if !ok {
			t.Fatal("the listener's stream has ended")
		}
		return event
	case <-time.After(patience):
		t.Fatal("the listener was told nothing")
	}
	return nil
}

// offer waits for the next offer.
func (l *listener) offer(t *testing.T) *gatewayv1.Offer {
	t.Helper()
	event := l.next(t)
	if event.GetOffer() == nil {
		t.Fatalf("the listener was told %v, want an offer", event)
	}
	return event.GetOffer()
}
