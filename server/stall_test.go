package server

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/server/codec"
	"github.com/zioflow/gateway/server/contract"
)

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

// stallRig is a rig whose streams are given up in a minute, and a log of those that were. It is
// for tests that have a clock of their own: by that of a busy machine, who is about to read is
// given up as well.
func stallRig(t *testing.T) (*rig, chan struct{}) {
	seen := make(chan struct{}, 10)
	return newSlowRig(t, func(o *Options) { o.Stall, o.Log = time.Minute, slog.New(abortions{slog.DiscardHandler, seen}) }), seen
}

func (r *rig) awaitAbort(t *testing.T, aborted chan struct{}) {
	t.Helper()
	select {
	case <-aborted:
	case <-r.ctx.Done():
		t.Fatal("no stream was given up")
	}
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
				synctest.Test(t, func(t *testing.T) {
					r, aborted := stallRig(t)
					defer r.stop()
					other, read := open(t, r)
					other.takePay(t, r)
					for range dats {
						other.say(`{"flow":"DAT"}`, [][]byte{make([]byte, heavy)})
					}
					end(r, other)
					r.awaitAbort(t, aborted)
					synctest.Wait()
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
			})
		}
	}
}

// TestStalledPutIsAborted: the same for the answer to a Put, which may bear a
// handler's large BOT.
func TestStalledPutIsAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
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
		r.awaitAbort(t, aborted)
		if _, err := stream.CloseAndRecv(); status.Code(err) != codes.Canceled {
			t.Errorf("the call ended with %v, want Canceled", err)
		}
	})
}

// TestStalledTakerEndsItsFlow: also while the flow goes on, a taker that takes nothing
// of what waits for it is gone for both sides, and no more counts as crossed than has
// left.
func TestStalledTakerEndsItsFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const dats = 10
		r, aborted := stallRig(t)
		defer r.stop()
		stream, err := r.flows.Open(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		openRequest(botOf(gatewayv1.Direction_DIRECTION_INJECT, dats), stream, t)
		other := r.accept(t)
		openRequest(payOf(dats), stream, t)
		other.takePay(t, r)
		for range dats {
			other.say(`{"flow":"DAT"}`, [][]byte{make([]byte, heavy)})
		}
		r.awaitAbort(t, aborted)
		other.wantEnd(t, r, flow.Overrun)
		if data := r.broker.Flows()[0].Data; data.Messages >= dats || data.Bytes != data.Messages*heavy {
			t.Errorf("%+v counts as crossed of %d messages that were not read", data, dats)
		}
		for err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != codes.Canceled {
			t.Errorf("the stream ended with %v, want Canceled", err)
		}
	})
}

// TestSlowTakerIsNotCut: a taker that needs nearly the timeout for each message is
// given all of them, while the flow goes on and after its giver's EOT, and is told
// only then that it is complete.
func TestSlowTakerIsNotCut(t *testing.T) {
	const dats, size = 6, 1 << 20
	for _, call := range []string{"Get", "Open"} {
		t.Run(call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSlowRig(t, func(o *Options) { o.Stall = time.Minute })
				defer r.stop()
				w := r.broker.Watch(10)
				defer w.Close()
				other, recv := r.take(t, call, dats+1)
				for range dats {
					other.say(`{"flow":"DAT"}`, [][]byte{make([]byte, size)})
				}
				for got := range dats {
					time.Sleep(50 * time.Second) // works on what it has
					synctest.Wait()
					if f := r.broker.Flows()[0]; f.Phase == flow.Ended {
						t.Fatalf("after %d messages: %v, %s", got, f.Reason, f.Detail)
					}
					if n := len(recv(t).GetDat().GetPayload()[0]); n != size {
						t.Fatalf("DAT %d has %d bytes", got, n)
					}
				}
				other.say(`{"flow":"EOT"}`, nil)
				if eot := recv(t).GetEot(); eot == nil {
					t.Fatal("no EOT")
				}
				for e := range w.Events() {
					if e.Flow.Phase != flow.Ended {
						continue
					}
					if e.Flow.Reason != flow.Completed || e.Flow.Data.Messages != dats || e.Flow.Data.Bytes != dats*size {
						t.Errorf("ended %v, %s, with %+v", e.Flow.Reason, e.Flow.Detail, e.Flow.Data)
					}
					break
				}
			})
		})
	}
}

// TestStall: slow is not stalled, and what does not wait is not watched; but who takes
// nothing in a timeout is given up.
func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var moved, told atomic.Int64
		var waits atomic.Bool
		s := &stall{
			ctx: t.Context(), timeout: time.Second, moved: moved.Load, waits: waits.Load, tell: func() { told.Add(1) },
		}
		s.watch()
		time.Sleep(10 * time.Second)
		if s.gaveUp() || s.watching.Load() {
			t.Fatal("a stream for which nothing waits is watched, or was given up")
		}
		waits.Store(true)
		s.watch()
		for range 10 {
			time.Sleep(900 * time.Millisecond)
			synctest.Wait()
			moved.Add(1)
		}
		if s.gaveUp() || told.Load() != 0 {
			t.Fatal("a stream that moved was given up")
		}
		time.Sleep(time.Second + 250*time.Millisecond)
		synctest.Wait()
		if !s.gaveUp() || told.Load() != 1 {
			t.Errorf("a stream that stood still was not given up; told %d times", told.Load())
		}
	})
}

// TestLostConnectionIsNotStalled: what was queued for it is lost, and nobody is given up.
func TestLostConnectionIsNotStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := make(chan struct{}, 10)
		r := newSlowRig(t, func(o *Options) { o.Stall, o.Log = time.Minute, slog.New(abortions{slog.DiscardHandler, seen}) })
		defer r.stop()
		other, _ := r.take(t, "Get", 1)
		other.say(`{"flow":"DAT"}`, [][]byte{make([]byte, heavy)}) // so little that gRPC takes all of it
		other.peer.Leave("died")
		synctest.Wait()
		_ = (<-r.wires).Close()
		time.Sleep(time.Hour)
		if len(seen) > 0 {
			t.Error("a stream was given up whose connection is lost")
		}
	})
}

// TestWhatWaitsForAStream: a message waits until gRPC has written it, and each part of
// it that is written is a movement.
func TestWhatWaitsForAStream(t *testing.T) {
	r := newRig(t)
	defer r.stop()
	x := r.exchange(time.Hour)
	defer x.leave("the test is over")
	stream := new(heldStream)
	out := newSender(stream, x, codec.OpenMembers)
	give := func(d transport.Delivery) mem.BufferSlice {
		t.Helper()
		if err := x.Deliver(d); err != nil {
			t.Fatal(err)
		}
		batch, err := out.take(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if d.Type == zio.BOT {
			err = out.SendBOT(&batch[0], &gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Bot{Bot: contract.ToBot(batch[0], nil)}})
		} else {
			err = out.Send(&batch[0])
		}
		if err != nil {
			t.Fatal(err)
		}
		return stream.held[len(stream.held)-1]
	}
	for kind, label := range map[zio.Type]string{
		zio.BOT: `{"flow":"BOT","direction":"extract"}`, zio.DAT: `{"flow":"DAT"}`, zio.PAY: `{"flow":"PAY","credit":1}`, zio.EOT: `{"flow":"EOT"}`,
	} {
		for _, size := range []int{0, 10, 600, 2000, 1 << 20} {
			m := give(transport.Delivery{Type: kind, Message: &zio.Message{Label: []byte(label), Payload: [][]byte{make([]byte, size)}}})
			if !x.waits() || !x.stall.watching.Load() {
				t.Errorf("%v of %d bytes does not wait", kind, size)
			}
			before, dats := x.Progress.Moved(), x.Departed()
			m.Materialize()
			if x.Progress.Moved() == before {
				t.Errorf("%v of %d bytes: writing it is no movement", kind, size)
			}
			if crossed := x.Departed(); (crossed != dats) != (kind == zio.DAT) {
				t.Errorf("%v of %d bytes: %+v have crossed, %+v before", kind, size, crossed, dats)
			}
			m.Free()
			if x.waits() {
				t.Errorf("%v of %d bytes waits though it is written", kind, size)
			}
		}
	}
}

// TestListenerThatDoesNotRead: BOTs wait for it up to a number of bytes.
func TestListenerThatDoesNotRead(t *testing.T) {
	service := &handlerService{log: logs.NewSampler(nil, logs.Options{}), stall: time.Hour}
	k := service.sink(t.Context(), 2*maxOfferBytes)
	defer k.stall.finish()
	half := routing.Offer{Bot: &zio.Message{Label: []byte("{}"), Payload: [][]byte{make([]byte, maxOfferBytes/2)}}}
	for i := range 2 {
		if err := k.Offer(half); err != nil {
			t.Fatalf("offer %d: %v", i, err)
		}
	}
	event, _ := k.next()
	k.sent(event)
	for i := range 2 {
		if err := k.Offer(half); (err != nil) != (i == 1) {
			t.Errorf("offer %d with %d bytes waiting: %v", i, k.weight.Load(), err)
		}
	}
	if k.stall.timer == nil {
		t.Error("who does not read is not watched")
	}
}

// TestListenerQueue: what waits comes in its order, up to a number; nothing is held where
// nothing waits.
func TestListenerQueue(t *testing.T) {
	service := &handlerService{log: logs.NewSampler(nil, logs.Options{}), stall: time.Hour}
	k := service.sink(t.Context(), 2*maxOfferBytes)
	defer k.stall.finish()
	for range 2 {
		for i := range uint64(maxOffers) {
			k.Withdraw(i, flow.PeerGone)
		}
		if err := k.put(listenEvent{}); err == nil {
			t.Errorf("more than %d wait", maxOffers)
		}
		for i := range uint64(maxOffers) {
			select {
			case <-k.come:
			default:
				t.Fatalf("nobody is told that %d wait", maxOffers-i)
			}
			event, waits := k.next()
			if got := event.response().GetWithdrawn().GetCid(); !waits || got != i {
				t.Fatalf("in the place of %d comes %d", i, got)
			}
			k.sent(event)
		}
		if event, waits := k.next(); waits || cap(k.events) > 0 {
			t.Errorf("nothing waits: %v, and there is room for %d", event, cap(k.events))
		}
	}
}
