package server

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/logs"
)

// TestAbortKnowsItsGRPC: abort calls a function inside gRPC, by its name and with
// parameters that nobody checks. With another version, look whether
// http2Server.closeStream still has them, and whether what abort says of it is
// still so.
func TestAbortKnowsItsGRPC(t *testing.T) {
	const known = "1.85.0"
	if grpc.Version != known {
		t.Errorf("gRPC is %s, abort was written for %s", grpc.Version, known)
	}
}

func TestAbortNeedsAStream(t *testing.T) {
	if err := abort(t.Context()); err == nil {
		t.Error("a context without a stream was taken")
	}
}

// abortions is a log that counts the streams that were given up.
type abortions struct {
	slog.Handler
	seen chan struct{}
}

func (a abortions) Enabled(context.Context, slog.Level) bool { return true }

func (a abortions) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "stream aborted" {
		a.seen <- struct{}{}
	}
	return nil
}

// stallRig is a rig whose streams are given up soon, and a log of those that were.
func stallRig(t *testing.T) (*rig, chan struct{}) {
	seen := make(chan struct{}, 10)
	return newRigWith(t, func(o *Options) {
		o.Stall, o.Log = 20*time.Millisecond, slog.New(abortions{slog.DiscardHandler, seen})
	}), seen
}

// takePay takes the PAY that the other side was sent.
func (o *otherSide) takePay(t *testing.T, r *rig) {
	t.Helper()
	if o.paid {
		return
	}
	if batch, err := o.outbox.Take(r.ctx, nil); err != nil || batch[0].Type != zio.PAY {
		t.Fatalf("got %v, %v, want PAY", batch, err)
	}
}

// TestStalledTakerIsAborted: a stream that does not read after its flow has ended
// loses what is queued for it, in the gateway and in gRPC, however the flow ended.
func TestStalledTakerIsAborted(t *testing.T) {
	const dats = 10
	for name, end := range map[string]func(r *rig, other *otherSide){
		"partner gone": func(_ *rig, other *otherSide) { other.peer.Leave("died") },
		"by admin":     func(r *rig, _ *otherSide) { _, _ = r.broker.EndFlow(r.broker.Flows()[0].ID, "enough") },
		"drained":      func(r *rig, _ *otherSide) { r.broker.Close(flow.Draining, "going down") },
	} {
		for call, open := range map[string]func(t *testing.T, r *rig) (other *otherSide, read func() error){
			"Open": func(t *testing.T, r *rig) (*otherSide, func() error) {
				stream, err := r.flows.Open(r.ctx)
				if err != nil {
					t.Fatal(err)
				}
				openRequest(botOf(gatewayv1.Direction_DIRECTION_INJECT, dats), stream, t)
				other := r.accept(t)
				openRequest(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Pay{Pay: &gatewayv1.Pay{Credit: dats}}}, stream, t)
				return other, func() error { _, err := stream.Recv(); return err }
			},
			"Get": func(t *testing.T, r *rig) (*otherSide, func() error) {
				stream, err := r.flows.Get(r.ctx, &gatewayv1.GetRequest{Bot: &gatewayv1.Bot{Credit: dats}})
				if err != nil {
					t.Fatal(err)
				}
				return r.accept(t), func() error { _, err := stream.Recv(); return err }
			},
		} {
			t.Run(call+"/"+name, func(t *testing.T) {
				r, aborted := stallRig(t)
				defer r.stop()
				other, read := open(t, r)
				other.takePay(t, r)
				for range dats {
					other.say(`{"flow":"DAT"}`, [][]byte{make([]byte, heavy)})
				}
				end(r, other)
				<-aborted
				await(t, "all is released", func() bool { return other.freed.Load() >= other.made })
				if n := other.freed.Load(); n != other.made || other.twice.Load() {
					t.Errorf("%d messages were released %d times", other.made, n)
				}
				var err error
				for err == nil {
					err = read()
				}
				if status.Code(err) != codes.Canceled {
					t.Errorf("the stream ended with %v, want Canceled", err)
				}
			})
		}
	}
}

// TestStalledPutIsAborted: the same for the answer to a Put, which may bear a
// handler's large BOT.
func TestStalledPutIsAborted(t *testing.T) {
	r, aborted := stallRig(t)
	defer r.stop()
	stream, err := r.flows.Put(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&gatewayv1.PutRequest{Message: &gatewayv1.PutRequest_Bot{Bot: &gatewayv1.Bot{Credit: 1}}}); err != nil {
		t.Fatal(err)
	}
	other := r.acceptWith(t, [][]byte{make([]byte, 1<<20)})
	other.say(`{"flow":"EOT"}`, nil)
	<-aborted
	if _, err := stream.CloseAndRecv(); status.Code(err) != codes.Canceled {
		t.Errorf("the call ended with %v, want Canceled", err)
	}
}

// TestStallWaitsWhileTheStreamMoves: slow is not stalled.
func TestStallWaitsWhileTheStreamMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var moved, told atomic.Int64
		s := &stall{ctx: t.Context(), timeout: time.Second, moved: moved.Load, tell: func() { told.Add(1) }}
		s.begin()
		for range 10 {
			time.Sleep(900 * time.Millisecond)
			synctest.Wait()
			moved.Add(1)
		}
		if s.gaveUp() || told.Load() != 0 {
			t.Fatal("a stream that moved was given up")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !s.gaveUp() || told.Load() != 1 {
			t.Errorf("a stream that stood still was not given up; told %d times", told.Load())
		}
	})
}

// TestStallEndsWithTheLastMessage: the watch begins with the flow's end, and ends
// when gRPC has written the EOT; large messages before it move it on piece by piece.
func TestStallEndsWithTheLastMessage(t *testing.T) {
	r := newRig(t)
	defer r.stop()
	x := newExchange(r.ctx, r.broker, time.Hour, func() { t.Error("given up") })
	defer x.leave("the test is over")
	stream := new(heldStream)
	out := newSender(stream, x, openMembers)
	send := func(d broker.Delivery) mem.BufferSlice {
		t.Helper()
		if err := out.send(&d); err != nil {
			t.Fatal(err)
		}
		return stream.held[len(stream.held)-1]
	}
	dat := send(broker.Delivery{Type: zio.DAT, Message: &zio.Message{Payload: [][]byte{make([]byte, slowWeight)}}})
	if x.stall.timer != nil {
		t.Error("the watch has begun before the flow's end")
	}
	x.Ended(flow.PeerGone, "died")
	if x.stall.timer == nil {
		t.Error("the watch has not begun")
	}
	before := x.stall.moved()
	_ = dat[1].ReadOnlyData()
	if x.stall.moved() == before {
		t.Error("writing a part of a large message is no movement")
	}
	eot := send(broker.Delivery{Type: zio.EOT, Reason: flow.PeerGone, Message: &zio.Message{Label: []byte(`{"flow":"EOT"}`)}})
	dat.Free()
	x.returned()
	if x.stall.over {
		t.Error("the watch was over with the EOT unwritten")
	}
	eot.Free()
	if !x.stall.over {
		t.Error("the watch goes on with all written")
	}
}

// TestListenerThatDoesNotRead: BOTs wait for it up to a number of bytes.
func TestListenerThatDoesNotRead(t *testing.T) {
	service := &handlerService{log: logs.NewSampler(nil, logs.Options{}), stall: time.Hour}
	k := service.sink(t.Context(), 2*maxOfferBytes)
	defer k.stall.finish()
	half := broker.Offer{Bot: &zio.Message{Label: []byte("{}"), Payload: [][]byte{make([]byte, maxOfferBytes/2)}}}
	for i := range 2 {
		if err := k.Offer(half); err != nil {
			t.Fatalf("offer %d: %v", i, err)
		}
	}
	k.sent(<-k.events)
	for i := range 2 {
		if err := k.Offer(half); (err != nil) != (i == 1) {
			t.Errorf("offer %d with %d bytes waiting: %v", i, k.weight.Load(), err)
		}
	}
	if k.stall.timer == nil {
		t.Error("who does not read is not watched")
	}
}
