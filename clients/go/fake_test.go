package zioflow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	zioflow "github.com/zioflow/gateway/clients/go"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// serveFake is a client of services that are not the real ones; nil for none.
func serveFake(t *testing.T, flows gatewayv1.FlowServiceServer, handlers gatewayv1.HandlerServiceServer) *zioflow.Gateway {
	s := grpc.NewServer()
	if flows != nil {
		gatewayv1.RegisterFlowServiceServer(s, flows)
	}
	if handlers != nil {
		gatewayv1.RegisterHandlerServiceServer(s, handlers)
	}
	l := bufconn.Listen(1 << 20)
	served := background(func() error { return s.Serve(l) })
	g := dial(l)
	t.Cleanup(func() {
		_ = g.Close()
		s.Stop()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return g
}

// stuckGateway opens every flow, pays a lot, and reads nothing.
type stuckGateway struct {
	gatewayv1.UnimplementedFlowServiceServer
}

func (stuckGateway) Open(stream grpc.BidiStreamingServer[gatewayv1.OpenRequest, gatewayv1.OpenResponse]) error {
	bot := &gatewayv1.Bot{Label: "{}", Credit: 1000}
	if err := stream.Send(&gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Bot{Bot: bot}}); err != nil {
		return err
	}
	pay := &gatewayv1.Pay{Credit: 1000}
	if err := stream.Send(&gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Pay{Pay: pay}}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

// toldGateway ends every flow as it is told to.
type toldGateway struct {
	gatewayv1.UnimplementedFlowServiceServer
	messages []*gatewayv1.OpenResponse
	got      []*gatewayv1.GetResponse
	end      error
}

func (f toldGateway) Open(stream grpc.BidiStreamingServer[gatewayv1.OpenRequest, gatewayv1.OpenResponse]) error {
	for _, m := range f.messages {
		if err := stream.Send(m); err != nil {
			return err
		}
	}
	return f.end
}

func (f toldGateway) Get(_ *gatewayv1.GetRequest, stream grpc.ServerStreamingServer[gatewayv1.GetResponse]) error {
	for _, m := range f.got {
		if err := stream.Send(m); err != nil {
			return err
		}
	}
	return f.end
}

// crossGateway answers an EOT as if its own had crossed it, and notes what it
// receives.
type crossGateway struct {
	gatewayv1.UnimplementedFlowServiceServer
	received chan string
}

func (c crossGateway) Open(stream grpc.BidiStreamingServer[gatewayv1.OpenRequest, gatewayv1.OpenResponse]) error {
	bot := &gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Bot{Bot: &gatewayv1.Bot{Credit: 1}}}
	if err := stream.Send(bot); err != nil {
		return err
	}
	ended := make(chan struct{}, 9)
	go func() {
		for {
			request, err := stream.Recv()
			if err != nil {
				return
			}
			c.received <- strings.TrimPrefix(fmt.Sprintf("%T", request.GetMessage()), "*gatewayv1.OpenRequest_")
			if request.GetEot() != nil {
				ended <- struct{}{}
			}
		}
	}()
	<-ended
	dat := &gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Dat{Dat: &gatewayv1.Dat{}}}
	for _, m := range []*gatewayv1.OpenResponse{dat, told(0, ""), told(0, "")} {
		if err := stream.Send(m); err != nil {
			return err
		}
	}
	time.Sleep(time.Second) // of the bubble's time: until all else waits
	return nil
}

// TestClose_crossingEOT shows that EOT is sent once, and nothing after it.
func TestClose_crossingEOT(t *testing.T) {
	for name, c := range map[string]struct {
		flow func(context.Context, *zioflow.Gateway) error
		err  error
		want []string
	}{
		"giver": {func(ctx context.Context, g *zioflow.Gateway) error {
			giver, err := g.Give(ctx, zioflow.Bot{Credit: 1})
			if err != nil {
				return err
			}
			return giver.Close(ctx)
		}, zioflow.ErrTakerEnded, []string{"Bot", "Eot"}},
		"taker": {func(ctx context.Context, g *zioflow.Gateway) error {
			taker, err := g.Take(ctx, zioflow.Bot{Credit: 1})
			if err != nil {
				return err
			}
			return taker.Close(ctx)
		}, nil, []string{"Bot", "Pay", "Eot"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := crossGateway{received: make(chan string, 9)}
				if err := c.flow(t.Context(), serveFake(t, fake, nil)); !errors.Is(err, c.err) {
					t.Errorf("Close: %v, want %v", err, c.err)
				}
				close(fake.received)
				var got []string
				for message := range fake.received {
					got = append(got, message)
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("sent %v, want %v", got, c.want)
				}
			})
		})
	}
}
