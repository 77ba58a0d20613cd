package zioflow_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	zioflow "github.com/zioflow/gateway/clients/go"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

var errWhy = errors.New("the test's own reason")

// cancelled calls f, ends its context when it waits, and answers what f has.
func cancelled(t *testing.T, f func(context.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	result := background(func() error { return f(ctx) })
	if !waiting(result) {
		t.Fatal("the call does not wait for anything")
	}
	cancel(errWhy)
	begin := time.Now()
	defer func() {
		if late := time.Since(begin); late > 0 {
			t.Errorf("returned %v after the end of its context", late)
		}
	}()
	return <-result
}

func checkWhy(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, errWhy) {
		t.Errorf("got %v, want the context's cause", err)
	}
}

// TestOpen_cancelled ends the context of what waits for a handler, which is
// told.
func TestOpen_cancelled(t *testing.T) {
	for name, open := range map[string]func(context.Context, *zioflow.Gateway) error{
		"Give": func(ctx context.Context, g *zioflow.Gateway) error {
			_, err := g.Give(ctx, zioflow.Bot{Credit: 1})
			return err
		},
		"Take": func(ctx context.Context, g *zioflow.Gateway) error {
			_, err := g.Take(ctx, zioflow.Bot{Credit: 1})
			return err
		},
		"PutAll": func(ctx context.Context, g *zioflow.Gateway) error {
			_, err := g.PutAll(ctx, zioflow.Bot{Credit: 1}, zioflow.Dats(slices.Values([]zioflow.Dat{})))
			return err
		},
		"GetAll": func(ctx context.Context, g *zioflow.Gateway) error {
			for _, err := range g.GetAll(ctx, zioflow.Bot{Credit: 1}) {
				return err
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			setup{}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
				told := make(chan error, 1)
				handle(t, g, zioflow.Listener{Name: "idle"}, func(ctx context.Context, _ *zioflow.Offer) error {
					<-ctx.Done()
					told <- context.Cause(ctx)
					return nil
				})
				checkWhy(t, cancelled(t, func(ctx context.Context) error { return open(ctx, g) }))
				if err := <-told; zioflow.ReasonOf(err) != zioflow.PeerGone {
					t.Errorf("the handler was told %v, want PeerGone", err)
				}
			})
		})
	}
}

func TestGiver_Put_cancelled(t *testing.T) {
	eachWay(t, 1, func(t *testing.T, giver *zioflow.Giver, taker *zioflow.Taker) {
		put(t, giver, "a")
		checkWhy(t, cancelled(t, func(ctx context.Context) error { return giver.Put(ctx, text("lost")) }))
		given := background(func() error {
			put(t, giver, "b")
			return giver.Close(t.Context())
		})
		got, err := take(t, taker, 3)
		if !errors.Is(err, io.EOF) || !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("took %v, %v", got, err)
		}
		if err := <-given; err != nil {
			t.Error(err)
		}
	})
}

// TestGiver_Put_waitsForTurn ends the context of a Put that waits for another.
func TestGiver_Put_waitsForTurn(t *testing.T) {
	eachWay(t, 1, func(t *testing.T, giver *zioflow.Giver, _ *zioflow.Taker) {
		put(t, giver, "a")
		first := background(func() error { return giver.Put(t.Context(), text("b")) })
		if !waiting(first) {
			t.Fatal("Put did not wait for credit")
		}
		checkWhy(t, cancelled(t, func(ctx context.Context) error { return giver.Put(ctx, text("c")) }))
		giver.Abort()
		if err := <-first; !errors.Is(err, zioflow.ErrAborted) {
			t.Errorf("the other Put: %v", err)
		}
	})
}

func TestTaker_Next_cancelled(t *testing.T) {
	eachWay(t, 1, func(t *testing.T, giver *zioflow.Giver, taker *zioflow.Taker) {
		checkWhy(t, cancelled(t, func(ctx context.Context) error { _, err := taker.Next(ctx); return err }))
		put(t, giver, "a")
		if got, err := take(t, taker, 1); err != nil || !slices.Equal(got, []string{"a"}) {
			t.Errorf("took %v, %v", got, err)
		}
	})
}

func TestGiver_Close_cancelled(t *testing.T) {
	eachWay(t, 1, func(t *testing.T, giver *zioflow.Giver, taker *zioflow.Taker) {
		put(t, giver, "a")
		checkWhy(t, cancelled(t, giver.Close))
		checkWhy(t, giver.Close(t.Context()))
		if _, err := taker.Next(t.Context()); err != nil {
			t.Errorf("what was put before the EOT is lost: %v", err)
		}
	})
}

// TestTaker_Close_cancelled needs a giver that does not answer an EOT.
func TestTaker_Close_cancelled(t *testing.T) {
	setup{}.run(t, func(t *testing.T, m *memory, g *zioflow.Gateway) {
		conn, err := grpc.NewClient("passthrough:///memory", dialer(m.Listener),
			grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		var taker *zioflow.Taker
		accepted := make(chan error)
		handle(t, g, zioflow.Listener{Name: "taker"}, func(ctx context.Context, o *zioflow.Offer) (err error) {
			taker, err = o.Take(ctx, zioflow.Bot{})
			accepted <- err
			<-ctx.Done()
			return nil
		})
		stream, err := gatewayv1.NewFlowServiceClient(conn).Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		bot := &gatewayv1.Bot{Direction: gatewayv1.Direction_DIRECTION_EXTRACT, Credit: 1}
		if err := stream.Send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Bot{Bot: bot}}); err != nil {
			t.Fatal(err)
		}
		if err := <-accepted; err != nil {
			t.Fatal(err)
		}
		checkWhy(t, cancelled(t, taker.Close))
		if _, err := taker.Next(t.Context()); !errors.Is(err, zioflow.ErrClosed) {
			t.Errorf("Next: %v", err)
		}
	})
}

// TestFlow_cancelled ends the context that opened a flow.
func TestFlow_cancelled(t *testing.T) {
	setup{}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
		ended := make(chan error, 1)
		handle(t, g, zioflow.Listener{Name: "taker"}, func(ctx context.Context, o *zioflow.Offer) error {
			taker, err := o.Take(ctx, zioflow.Bot{})
			if err == nil {
				_, err = taker.Next(ctx)
			}
			ended <- err
			return nil
		})
		checkWhy(t, cancelled(t, func(ctx context.Context) error {
			giver, err := g.Give(ctx, zioflow.Bot{Credit: 1})
			if err != nil {
				return err
			}
			<-ctx.Done()
			synctest.Wait()
			return giver.Close(t.Context())
		}))
		if err := <-ended; zioflow.ReasonOf(err) != zioflow.PeerGone {
			t.Errorf("the taker was told %v, want PeerGone", err)
		}
	})
}

func TestFlow_deadline(t *testing.T) {
	setup{}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
		handle(t, g, zioflow.Listener{Name: "giver"}, func(ctx context.Context, o *zioflow.Offer) error {
			_, err := o.Give(ctx, zioflow.Bot{})
			<-ctx.Done()
			return err
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		taker, err := g.Take(ctx, zioflow.Bot{Credit: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := taker.Next(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Next: %v", err)
		}
	})
}

func TestHandle_cancelled(t *testing.T) {
	setup{}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
		checkWhy(t, cancelled(t, func(ctx context.Context) error {
			return g.Handle(ctx, zioflow.Listener{Name: "idle"}, nil)
		}))
	})
}

func TestPutAll_cancelled(t *testing.T) {
	setup{}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
		handle(t, g, zioflow.Listener{Name: "slow"}, func(ctx context.Context, o *zioflow.Offer) error {
			_, err := o.Take(ctx, zioflow.Bot{})
			<-ctx.Done()
			return err
		})
		sent := 0
		checkWhy(t, cancelled(t, func(ctx context.Context) error {
			_, err := g.PutAll(ctx, zioflow.Bot{Credit: 3}, func(yield func(zioflow.Dat, error) bool) {
				for yield(zioflow.Dat{Payload: [][]byte{make([]byte, 10_000)}}, nil) {
					sent++
				}
			})
			return err
		}))
		if sent < 3 || sent > 100 { // what HTTP/2's windows hold
			t.Errorf("%d sent to a taker that takes none", sent)
		}
	})
}

func TestGetAll_cancelled(t *testing.T) {
	setup{}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
		handle(t, g, zioflow.Listener{Name: "slow"}, func(ctx context.Context, o *zioflow.Offer) error {
			giver, err := o.Give(ctx, zioflow.Bot{})
			if err != nil {
				return err
			}
			put(t, giver, "a")
			<-ctx.Done()
			return err
		})
		taken := 0
		checkWhy(t, cancelled(t, func(ctx context.Context) error {
			for _, err := range g.GetAll(ctx, zioflow.Bot{Credit: 1}) {
				if err != nil {
					return err
				}
				taken++
			}
			return nil
		}))
		if taken != 1 {
			t.Errorf("%d taken, want 1", taken)
		}
	})
}

func TestGateway_Close(t *testing.T) {
	setup{}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
		ctx := context.Background()
		listening := make(chan struct{})
		handling := background(func() error {
			return g.Handle(ctx, zioflow.Listener{
				Name: "idle", Match: "false", OnListening: func(uint64) { close(listening) },
			}, nil)
		})
		<-listening
		giver, err := g.Give(ctx, zioflow.Bot{Credit: 1})
		if err != nil {
			t.Fatal(err)
		}
		taker, err := g.Take(ctx, zioflow.Bot{Attributes: map[string]any{"count": 1 << 40}})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := g.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		_, next := taker.Next(ctx)
		_, open := g.Take(ctx, zioflow.Bot{Credit: 1})
		_, all := g.PutAll(ctx, zioflow.Bot{Credit: 1}, zioflow.Dats(slices.Values([]zioflow.Dat{})))
		for what, err := range map[string]error{
			"Handle": <-handling, "Put": giver.Put(ctx, text("a")), "Giver.Close": giver.Close(ctx),
			"Next": next, "Take": open, "PutAll": all,
		} {
			if !errors.Is(err, zioflow.ErrClosed) {
				t.Errorf("%s: %v, want ErrClosed", what, err)
			}
		}
	})
}

// TestGiver_stuck ends what waits for the connection rather than for credit.
func TestGiver_stuck(t *testing.T) {
	fill := func(ctx context.Context, giver *zioflow.Giver) error {
		for {
			if err := giver.Put(ctx, zioflow.Dat{Payload: [][]byte{make([]byte, 30_000)}}); err != nil {
				return err
			}
		}
	}
	for name, test := range map[string]func(*testing.T, *zioflow.Giver){
		"Put": func(t *testing.T, giver *zioflow.Giver) {
			checkWhy(t, cancelled(t, func(ctx context.Context) error { return fill(ctx, giver) }))
		},
		"Close": func(t *testing.T, giver *zioflow.Giver) {
			filling := background(func() error { return fill(t.Context(), giver) })
			checkWhy(t, cancelled(t, giver.Close))
			if err := <-filling; !errors.Is(err, errWhy) && !errors.Is(err, zioflow.ErrClosed) {
				t.Errorf("Put: %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				giver, err := serveFake(t, stuckGateway{}, nil).Give(t.Context(), zioflow.Bot{Credit: 1000})
				if err != nil {
					t.Fatal(err)
				}
				test(t, giver)
				checkWhy(t, giver.Close(t.Context()))
			})
		})
	}
}
