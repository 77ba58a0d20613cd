package zioflow_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	zioflow "github.com/zioflow/gateway/clients/go"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// failingGateway ends every listener with the next of its errors, the last one for ever
// after it was registered, or before.
type failingGateway struct {
	gatewayv1.UnimplementedHandlerServiceServer
	errs chan error
}

func (f failingGateway) Listen(_ *gatewayv1.ListenRequest, stream grpc.ServerStreamingServer[gatewayv1.ListenResponse]) error {
	err := <-f.errs
	if status.Code(err) == codes.InvalidArgument {
		return err
	}
	if sent := stream.Send(&gatewayv1.ListenResponse{Event: &gatewayv1.ListenResponse_Listening{Listening: &gatewayv1.Listening{ListenerId: 1}}}); sent != nil {
		return sent
	}
	return err
}

// TestServe announces again what was lost, a little later, and gives up what is wrong.
func TestServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := failingGateway{errs: make(chan error, 9)}
		g := serveFake(t, nil, f)
		var lost []string
		registered := 0
		for range 3 {
			f.errs <- status.Error(codes.Unavailable, "gone")
		}
		f.errs <- nil
		f.errs <- status.Error(codes.InvalidArgument, "name: is odd")
		begin := time.Now()
		err := g.Serve(t.Context(), zioflow.Listener{
			Name: "x", OnListening: func(uint64) { registered++ },
			OnLost: func(err error, retry time.Duration) {
				lost = append(lost, err.Error())
				if retry <= 0 || retry > 100*time.Millisecond {
					t.Errorf("it waits %v after a listener that was registered", retry)
				}
			},
		}, nil)
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "name: is odd") {
			t.Errorf("gave up with %v", err)
		}
		if registered != 4 || len(lost) != 4 || !strings.Contains(lost[3], "the gateway ended the listener") {
			t.Errorf("registered %d times, lost %q", registered, lost)
		}
		if took := time.Since(begin); took < 4*30*time.Millisecond {
			t.Errorf("it did not wait between its attempts: %v", took)
		}
	})
}

// agingGateway offers a flow to each listener, and ends it.
type agingGateway struct {
	gatewayv1.UnimplementedHandlerServiceServer
}

func (agingGateway) Listen(_ *gatewayv1.ListenRequest, stream grpc.ServerStreamingServer[gatewayv1.ListenResponse]) error {
	for _, event := range []*gatewayv1.ListenResponse{
		{Event: &gatewayv1.ListenResponse_Listening{Listening: &gatewayv1.Listening{ListenerId: 1}}},
		{Event: &gatewayv1.ListenResponse_Offer{Offer: &gatewayv1.Offer{Cid: 1, Bot: &gatewayv1.Bot{Label: "{}"}}}},
	} {
		if err := stream.Send(event); err != nil {
			return err
		}
	}
	return status.Error(codes.Unavailable, "the connection is too old")
}

// TestServe_long announces the listener again while flows of the lost one go on, and waits for them
// in the end.
func TestServe_long(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := serveFake(t, nil, agingGateway{})
		ctx, cancel := context.WithCancelCause(t.Context())
		var others atomic.Bool
		listening, returned, begin := 0, false, time.Now() // of the bubble's clock
		err := g.Serve(ctx, zioflow.Listener{Name: "x", OnListening: func(uint64) {
			if listening++; listening == 3 {
				cancel(errWhy)
			}
			if waited := time.Since(begin); waited > time.Minute {
				t.Errorf("listener %d came after %v", listening, waited)
			}
		}}, func(context.Context, *zioflow.Offer) error {
			if !others.Swap(true) {
				time.Sleep(time.Hour)
				returned = true
			}
			return nil
		})
		if !errors.Is(err, errWhy) || listening != 3 || !returned {
			t.Errorf("returns %v after %d times, its first handler having returned: %v", err, listening, returned)
		}
	})
}

// TestServe_ends returns the context's cause, whatever it is at.
func TestServe_ends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := failingGateway{errs: make(chan error, 1)}
		f.errs <- status.Error(codes.Unavailable, "gone")
		g := serveFake(t, nil, f)
		ctx, cancel := context.WithCancelCause(t.Context())
		err := g.Serve(ctx, zioflow.Listener{Name: "x", OnLost: func(error, time.Duration) { cancel(errWhy) }}, nil)
		if !errors.Is(err, errWhy) {
			t.Errorf("returns %v", err)
		}
	})
}

// TestHandle_told says of a listener, and not of a flow, that it has ended.
func TestHandle_told(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := failingGateway{errs: make(chan error, 1)}
		told, err := status.New(codes.Unavailable, "draining: by an operator").WithDetails(
			&errdetails.ErrorInfo{Domain: "gateway.zioflow", Reason: "DRAINING"})
		if err != nil {
			t.Fatal(err)
		}
		f.errs <- told.Err()
		g := serveFake(t, nil, f)
		err = g.Handle(t.Context(), zioflow.Listener{Name: "x"}, nil)
		if want := "zioflow: listener ended: draining: by an operator"; err == nil || err.Error() != want || zioflow.ReasonOf(err) != zioflow.Draining {
			t.Errorf("returns %v, want %s", err, want)
		}
	})
}
