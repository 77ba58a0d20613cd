package zioflow_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	zioflow "github.com/zioflow/gateway/clients/go"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// deaf is the link of a native client that hears nothing.
type deaf struct{}

func (deaf) Deliver(d transport.Delivery) error { d.Message.Release(); return nil }
func (deaf) Flush()                             {}
func (deaf) Ended(flow.Reason, string)          {}
func (deaf) Queued() (messages, bytes int64)    { return 0, 0 }

// What a native client may write that not everybody reads, and what is larger than is
// received here.
func TestOffer_leftOut(t *testing.T) {
	setup{}.run(t, func(t *testing.T, m *memory, g *zioflow.Gateway) {
		offers := make(chan *zioflow.Offer, 1)
		handle(t, g, zioflow.Listener{Name: "odd"}, func(_ context.Context, o *zioflow.Offer) error {
			offers <- o
			return errors.New("seen")
		})
		for label, c := range map[string]struct {
			payload    int
			attributes map[string]any
			leftOut    zioflow.LeftOut
		}{
			`{"flow":"BOT","direction":"extract","credit":2,"x":NaN,"run":1}`: {0, map[string]any{"run": 1.0}, zioflow.LeftOut{}},
			`{"flow":"BOT","direction":"extract","credit":2,"run":1}`:         {64 << 20, map[string]any{"run": int64(1)}, zioflow.LeftOut{PayloadBytes: 64 << 20, PayloadParts: 1}},
		} {
			client := m.broker.Attach(deaf{}, transport.PeerInfo{Transport: "fake"})
			bot := &zio.Message{Label: []byte(label)}
			if c.payload > 0 {
				bot.Payload = [][]byte{make([]byte, c.payload)}
			}
			client.Receive(bot)
			o := <-offers
			if !reflect.DeepEqual(o.Attributes, c.attributes) || o.LeftOut != c.leftOut {
				t.Errorf("%s: attributes %v, left out %+v", label, o.Attributes, o.LeftOut)
			}
			client.Leave("has had enough")
		}
	})
}

func TestOffer(t *testing.T) {
	setup{}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
		offers := make(chan *zioflow.Offer, 1)
		handle(t, g, zioflow.Listener{Name: "taker", Match: `attributes.stream == "raw"`},
			func(ctx context.Context, o *zioflow.Offer) error {
				offers <- o
				taker, err := o.Take(ctx, zioflow.Bot{Credit: 2, Attributes: map[string]any{"disk": "d1"}})
				if err != nil {
					return err
				}
				_, err = taker.Next(ctx)
				return err
			})
		begin := time.Now()
		giver, err := g.Give(t.Context(), zioflow.Bot{
			Credit: 7, Attributes: map[string]any{"stream": "raw"}, Payload: [][]byte{[]byte("p")}, Origin: 3, Granule: 4,
		})
		if err != nil {
			t.Fatal(err)
		}
		if bot := giver.Bot(); bot.Credit != 2 || !reflect.DeepEqual(bot.Attributes, map[string]any{"disk": "d1"}) {
			t.Errorf("the handler's BOT is %+v", bot)
		}
		if by := giver.TakenBy(); by != (zioflow.TakenBy{Route: "taker", Peer: zioflow.Peer{Transport: "grpc", Address: "bufconn"}}) {
			t.Errorf("taken by %+v", by)
		}
		o := <-offers
		if o.Direction != zioflow.Inject || o.Credit != 7 || o.Origin != 3 || o.Granule != 4 || string(o.Payload[0]) != "p" {
			t.Errorf("offer %+v", o)
		}
		if !reflect.DeepEqual(o.Attributes, map[string]any{"stream": "raw"}) {
			t.Errorf("attributes %v", o.Attributes)
		}
		if o.Peer != (zioflow.Peer{Transport: "grpc", Address: "bufconn"}) {
			t.Errorf("peer %+v", o.Peer)
		}
		if !o.Deadline.Equal(begin.Add(5 * time.Second)) {
			t.Errorf("deadline %v, want 5 s after %v", o.Deadline, begin)
		}
		if err := giver.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestOffer_declined has a Handler refuse in every way there is.
func TestOffer_declined(t *testing.T) {
	for name, c := range map[string]struct {
		handler zioflow.Handler
		detail  string
	}{
		"Decline":   {func(ctx context.Context, o *zioflow.Offer) error { return o.Decline(ctx, "nein, größer") }, "nein, größer"},
		"error":     {func(context.Context, *zioflow.Offer) error { return errWhy }, errWhy.Error()},
		"nothing":   {func(context.Context, *zioflow.Offer) error { return nil }, "the handler did not accept"},
		"not UTF-8": {func(ctx context.Context, o *zioflow.Offer) error { return o.Decline(ctx, "a\xffb") }, "a\uFFFDb"},
		"too long": {func(ctx context.Context, o *zioflow.Offer) error {
			return o.Decline(ctx, strings.Repeat("ä", 1<<20))
		}, strings.Repeat("ä", 510) + "…"},
		"long error": {func(context.Context, *zioflow.Offer) error { return errors.New(strings.Repeat("x", 1<<20)) }, strings.Repeat("x", 1021) + "…"},
		"wrong way": {func(ctx context.Context, o *zioflow.Offer) error {
			if _, err := o.Give(ctx, zioflow.Bot{}); !errors.Is(err, zioflow.ErrOffer) {
				return fmt.Errorf("Give: %w", err)
			}
			return errors.New("can't give")
		}, "can't give"},
		"bad bot": {func(ctx context.Context, o *zioflow.Offer) error {
			if _, err := o.Take(ctx, zioflow.Bot{Level: 9}); !errors.Is(err, zioflow.ErrInvalid) {
				return fmt.Errorf("Take: %w", err)
			}
			return errors.New("can't take")
		}, "can't take"},
	} {
		t.Run(name, func(t *testing.T) {
			setup{}.run(t, func(t *testing.T, m *memory, g *zioflow.Gateway) {
				handle(t, g, zioflow.Listener{Name: "no", MaxFlows: 1}, c.handler)
				for range 2 { // the place is free again
					_, err := g.Give(t.Context(), zioflow.Bot{Credit: 1})
					end, ok := errors.AsType[*zioflow.FlowError](err)
					if !ok || end.Reason != zioflow.Rejected || end.Detail != c.detail || end.FlowID == 0 || end.Retry() {
						t.Errorf("Give: %v, want Rejected: %s", err, c.detail)
					}
				}
				synctest.Wait()
				if m.broker.Live() != 0 {
					t.Errorf("%d flows are left", m.broker.Live())
				}
			})
		})
	}
}

func TestOffer_once(t *testing.T) {
	setup{}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
		handle(t, g, zioflow.Listener{Name: "twice"}, func(ctx context.Context, o *zioflow.Offer) error {
			taker, err := o.Take(ctx, zioflow.Bot{})
			if err != nil {
				return err
			}
			if _, err := o.Take(ctx, zioflow.Bot{}); !errors.Is(err, zioflow.ErrOffer) {
				t.Errorf("second Take: %v", err)
			}
			if err := o.Decline(ctx, "no"); !errors.Is(err, zioflow.ErrOffer) {
				t.Errorf("Decline after Take: %v", err)
			}
			_, err = taker.Next(ctx)
			return err
		})
		giver, err := g.Give(t.Context(), zioflow.Bot{Credit: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := giver.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestOffer_left returns from the Handler in the middle of the flow.
func TestOffer_left(t *testing.T) {
	setup{}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
		handle(t, g, zioflow.Listener{Name: "left"}, func(ctx context.Context, o *zioflow.Offer) error {
			_, err := o.Take(context.Background(), zioflow.Bot{})
			synctest.Wait() // until the PAY has gone its way
			return err
		})
		giver, err := g.Give(t.Context(), zioflow.Bot{Credit: 1})
		if err != nil {
			t.Fatal(err)
		}
		checkGone(t, giver.Close(t.Context()), giver.FlowID())
	})
}

// TestOffer_withdrawn lets an offer lapse.
func TestOffer_withdrawn(t *testing.T) {
	setup{}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
		told := make(chan error, 4)
		handle(t, g, zioflow.Listener{Name: "slow"}, func(ctx context.Context, o *zioflow.Offer) error {
			<-ctx.Done()
			told <- context.Cause(ctx)
			_, err := o.Take(ctx, zioflow.Bot{})
			told <- err
			_, err = o.Take(context.Background(), zioflow.Bot{})
			told <- err
			told <- o.Decline(context.Background(), "no")
			return nil
		})
		_, err := g.Give(t.Context(), zioflow.Bot{Credit: 1})
		if zioflow.ReasonOf(err) != zioflow.HandlerTimeout {
			t.Errorf("Give: %v", err)
		}
		for _, what := range []string{"cause", "Take"} {
			if err := <-told; zioflow.ReasonOf(err) != zioflow.HandlerTimeout {
				t.Errorf("%s: %v, want HandlerTimeout", what, err)
			}
		}
		for range 2 {
			if err := <-told; !errors.Is(err, zioflow.ErrOffer) {
				t.Errorf("accepted again: %v", err)
			}
		}
	})
}

// TestOffer_gone accepts and declines what is not there any more.
func TestOffer_gone(t *testing.T) {
	setup{}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
		told := make(chan error, 2)
		handle(t, g, zioflow.Listener{Name: "slow"}, func(ctx context.Context, o *zioflow.Offer) error {
			<-ctx.Done()
			if o.Credit == 1 {
				told <- o.Decline(context.Background(), "no")
				return nil
			}
			_, err := o.Take(context.Background(), zioflow.Bot{})
			told <- err
			return nil
		})
		_, _ = g.Give(t.Context(), zioflow.Bot{Credit: 1})
		if err := <-told; status.Code(err) != codes.NotFound {
			t.Errorf("Decline: %v, want NotFound", err)
		}
		_, _ = g.Give(t.Context(), zioflow.Bot{Credit: 2})
		if err := <-told; zioflow.ReasonOf(err) != zioflow.Rejected {
			t.Errorf("Take: %v, want Rejected", err)
		}
	})
}

func TestListener_maxFlows(t *testing.T) {
	setup{}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
		var offered atomic.Int64
		handle(t, g, zioflow.Listener{Name: "two", MaxFlows: 2}, func(ctx context.Context, o *zioflow.Offer) error {
			offered.Add(1)
			taker, err := o.Take(ctx, zioflow.Bot{})
			if err != nil {
				return err
			}
			_, err = taker.Next(ctx)
			return err
		})
		release := make(chan struct{})
		var flows []<-chan error
		for range 6 {
			flows = append(flows, background(func() error {
				giver, err := g.Give(t.Context(), zioflow.Bot{Credit: 1})
				if err != nil {
					return err
				}
				<-release
				return giver.Close(t.Context())
			}))
		}
		for _, want := range []int64{2, 4, 6} { // a place for each flow that ends
			synctest.Wait()
			if got := offered.Load(); got != want {
				t.Errorf("%d flows were offered, want %d", got, want)
			}
			release <- struct{}{}
			release <- struct{}{}
		}
		for _, f := range flows {
			if err := <-f; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestHandle_refused(t *testing.T) {
	setup{}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
		for _, l := range []zioflow.Listener{{}, {Name: "bad", Match: "attributes."}} {
			l.OnListening = func(uint64) { t.Error("OnListening was called") }
			err := g.Handle(t.Context(), l, nil)
			if status.Code(err) != codes.InvalidArgument || zioflow.ReasonOf(err) != zioflow.Unknown {
				t.Errorf("%+v: %v", l, err)
			}
		}
	})
}

// briefGateway makes one offer and then ends the listener.
type briefGateway struct {
	gatewayv1.UnimplementedHandlerServiceServer
	end      chan struct{}
	declines chan string
}

func (b briefGateway) Decline(_ context.Context, request *gatewayv1.DeclineRequest) (*gatewayv1.DeclineResponse, error) {
	b.declines <- fmt.Sprint(request.GetCid(), request.GetDetail())
	return &gatewayv1.DeclineResponse{}, nil
}

func (b briefGateway) Listen(_ *gatewayv1.ListenRequest, stream grpc.ServerStreamingServer[gatewayv1.ListenResponse]) error {
	for _, event := range []*gatewayv1.ListenResponse{
		{Event: &gatewayv1.ListenResponse_Listening{Listening: &gatewayv1.Listening{ListenerId: 5}}},
		{Event: &gatewayv1.ListenResponse_Withdrawn{Withdrawn: &gatewayv1.Withdrawn{Cid: 3}}}, // of nothing
		{Event: &gatewayv1.ListenResponse_Offer{Offer: &gatewayv1.Offer{Cid: 4}}},
	} {
		if err := stream.Send(event); err != nil {
			return err
		}
	}
	select {
	case <-b.end:
	case <-stream.Context().Done():
	}
	return nil
}

// TestHandle_waits ends the listener while a Handler is busy.
func TestHandle_waits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := briefGateway{end: make(chan struct{})}
		g := serveFake(t, nil, b)
		var id uint64
		told, proceed := make(chan error, 1), make(chan struct{})
		handling := background(func() error {
			l := zioflow.Listener{Name: "any", OnListening: func(n uint64) { id = n }}
			return g.Handle(t.Context(), l, func(ctx context.Context, _ *zioflow.Offer) error {
				<-ctx.Done()
				told <- context.Cause(ctx)
				<-proceed
				return nil
			})
		})
		synctest.Wait()
		close(b.end)
		if err := <-told; !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the Handler was told %v", err)
		}
		if !waiting(handling) {
			t.Error("Handle does not wait for its Handler")
		}
		close(proceed)
		if err := <-handling; !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("Handle: %v", err)
		}
		if id != 5 {
			t.Errorf("OnListening was told %d", id)
		}
	})
}

// TestOffer_Decline_once has the Handler decline, and then return an error.
func TestOffer_Decline_once(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := briefGateway{end: make(chan struct{}), declines: make(chan string, 9)}
		g := serveFake(t, nil, b)
		handle(t, g, zioflow.Listener{Name: "any"}, func(ctx context.Context, o *zioflow.Offer) error {
			return errors.Join(o.Decline(ctx, "no"), errWhy)
		})
		synctest.Wait()
		if n := len(b.declines); n != 1 || <-b.declines != "4no" {
			t.Errorf("%d declines", n)
		}
	})
}

// TestHandle_flowsGoOn stops the gateway's listeners, but not the flows.
func TestHandle_flowsGoOn(t *testing.T) {
	setup{}.run(t, func(t *testing.T, m *memory, g *zioflow.Gateway) {
		handling := make(chan (<-chan error), 1)
		accepted := make(chan struct{})
		handling <- background(func() error {
			return g.Handle(t.Context(), zioflow.Listener{
				Name: "taker", OnListening: func(uint64) { close(accepted) },
			}, func(ctx context.Context, o *zioflow.Offer) error {
				taker, err := o.Take(ctx, zioflow.Bot{})
				if err != nil {
					return err
				}
				for _, err := range taker.All(ctx) {
					if err != nil {
						t.Errorf("taker: %v", err)
					}
				}
				return nil
			})
		})
		<-accepted
		giver, err := g.Give(t.Context(), zioflow.Bot{Credit: 1})
		if err != nil {
			t.Fatal(err)
		}
		stopped := make(chan struct{})
		go func() { defer close(stopped); m.server.Stop(context.Background()) }()
		result := <-handling
		if !waiting(result) {
			t.Error("Handle does not wait for the flow")
		}
		put(t, giver, "a", "b", "c")
		if err := giver.Close(t.Context()); err != nil {
			t.Errorf("giver: %v", err)
		}
		if err := <-result; zioflow.ReasonOf(err) != zioflow.Draining {
			t.Errorf("Handle: %v, want Draining", err)
		}
		<-stopped
	})
}

// A handler that was told the cid by other means than Handle.
func TestOfferByCID(t *testing.T) {
	setup{}.run(t, func(t *testing.T, m *memory, g *zioflow.Gateway) {
		offers := make(chan uint64, 1)
		listener, err := m.broker.Listen(listeners.Spec{Name: "other means", Sink: cidSink(offers)})
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		taken := make(chan error, 1)
		go func() {
			offer := g.Offer(<-offers)
			taker, err := offer.Take(t.Context(), zioflow.Bot{Credit: 1})
			if err == nil {
				_, err = taker.Next(t.Context())
			}
			if err == nil {
				_, err = offer.Give(t.Context(), zioflow.Bot{})
				if !errors.Is(err, zioflow.ErrOffer) {
					t.Errorf("accepted a second time: %v", err)
				}
				if _, err = taker.Next(t.Context()); errors.Is(err, io.EOF) {
					err = nil
				}
			}
			taken <- err
		}()
		giver, err := g.Give(t.Context(), zioflow.Bot{})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(giver.Put(t.Context(), zioflow.Dat{}), giver.Close(t.Context()), <-taken); err != nil {
			t.Error(err)
		}
		_, err = g.Offer(12345).Take(t.Context(), zioflow.Bot{})
		if end, ok := errors.AsType[*zioflow.FlowError](err); !ok || end.Reason != zioflow.Rejected {
			t.Errorf("a cid that is no offer's: %v", err)
		}
	})
}

// cidSink takes the cids of offers.
type cidSink chan uint64

func (s cidSink) Offer(o routing.Offer) error { s <- o.CID; return nil }
func (cidSink) Withdraw(uint64, flow.Reason)  {}
