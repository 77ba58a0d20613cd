package server

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

func datOf(payload string) *gatewayv1.OpenRequest {
	return &gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Dat{Dat: &gatewayv1.Dat{Payload: [][]byte{[]byte(payload)}}}}
}

func eotOf() *gatewayv1.OpenRequest {
	return &gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Eot{Eot: &gatewayv1.Eot{}}}
}

// giving is a stream that has given what it was to give, with its half still open.
type giving struct {
	other  *otherSide // takes
	close  func() error
	eot    func() error
	cancel func()
	status func() error // of the call, once it has ended
}

// givers open a flow and give one DAT, each in its way.
var givers = map[string]func(*testing.T, *rig) *giving{
	"Open": func(t *testing.T, r *rig) *giving {
		ctx, cancel := context.WithCancel(r.ctx)
		stream, err := r.flows.Open(ctx)
		if err != nil {
			t.Fatal(err)
		}
		openRequest(botOf(gatewayv1.Direction_DIRECTION_EXTRACT, 5), stream, t)
		other := r.accept(t)
		other.say(`{"flow":"PAY","credit":5}`, nil)
		openRequest(datOf("x"), stream, t)
		return &giving{other, stream.CloseSend, func() error { return stream.Send(eotOf()) }, cancel, func() error { return lastError(stream) }}
	},
	"Put": func(t *testing.T, r *rig) *giving {
		ctx, cancel := context.WithCancel(r.ctx)
		stream, err := r.flows.Put(ctx)
		if err != nil {
			t.Fatal(err)
		}
		put := func(p *gatewayv1.PutRequest) error { return stream.Send(p) }
		if err := put(&gatewayv1.PutRequest{Message: &gatewayv1.PutRequest_Bot{Bot: &gatewayv1.Bot{Credit: 5}}}); err != nil {
			t.Fatal(err)
		}
		other := r.accept(t)
		other.say(`{"flow":"PAY","credit":5}`, nil)
		if err := put(&gatewayv1.PutRequest{Message: &gatewayv1.PutRequest_Dat{Dat: &gatewayv1.Dat{Payload: [][]byte{{'x'}}}}}); err != nil {
			t.Fatal(err)
		}
		eot := &gatewayv1.PutRequest{Message: &gatewayv1.PutRequest_Eot{Eot: &gatewayv1.Eot{}}}
		return &giving{other, stream.CloseSend, func() error { return put(eot) }, cancel,
			func() error { return stream.RecvMsg(new(gatewayv1.PutResponse)) }}
	},
	"handler": func(t *testing.T, r *rig) *giving {
		other := r.openAsClient(t, `{"flow":"BOT","direction":"inject","credit":5}`)
		ctx, cancel := context.WithCancel(r.ctx)
		stream, err := r.flows.Open(ctx)
		if err != nil {
			t.Fatal(err)
		}
		openRequest(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Bot{Bot: &gatewayv1.Bot{
			Cid: (<-r.offers).CID, Direction: gatewayv1.Direction_DIRECTION_EXTRACT, Credit: 5,
		}}}, stream, t)
		other.want(t, r, zio.BOT)
		other.say(`{"flow":"PAY","credit":5}`, nil)
		openRequest(datOf("x"), stream, t)
		return &giving{other, stream.CloseSend, func() error { return stream.Send(eotOf()) }, cancel, func() error { return lastError(stream) }}
	},
}

// lastError is what a stream ends with.
func lastError(stream gatewayv1.FlowService_OpenClient) error {
	for {
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
}

// TestGiverThatBreaksOff_BRK_17: who closes his half and is then cancelled, as
// cancelled clients do, has broken off. The taker is not told of an EOT before that is
// sure, nor of a good end if it comes out later.
func TestGiverThatBreaksOff_BRK_17(t *testing.T) {
	const grace = 250 * time.Millisecond
	for name, open := range givers {
		for _, wait := range []time.Duration{0, grace / 2, 2 * grace, time.Second} {
			t.Run(name+"/cancelled after "+wait.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newSlowRig(t, func(o *Options) { o.Grace = grace })
					defer r.stop()
					c := open(t, r)
					c.other.want(t, r, zio.DAT)
					if err := c.close(); err != nil {
						t.Fatal(err)
					}
					time.Sleep(wait)
					synctest.Wait()
					told := wait > grace
					if told {
						if d := c.other.want(t, r, zio.EOT); d.Reason != flow.NotEnded {
							t.Errorf("the taker was told of the end %v", d.Reason)
						}
					}
					c.cancel()
					synctest.Wait()
					if !told {
						if d := c.other.want(t, r, zio.EOT); d.Reason != flow.PeerGone || !strings.Contains(d.Detail, "stream cancelled") {
							t.Errorf("the taker was told %v, %s", d.Reason, d.Detail)
						}
					}
					c.other.say(`{"flow":"EOT"}`, nil) // too late, or in vain
					c.other.wantEnd(t, r, flow.PeerGone)
				})
			})
		}
	}
}

// TestGiverThatCloses: who stays has said EOT by closing, after the grace; who says it
// has done so at once, and may go.
func TestGiverThatCloses(t *testing.T) {
	const grace = time.Minute
	for name, open := range givers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSlowRig(t, func(o *Options) { o.Grace = grace })
				defer r.stop()
				c := open(t, r)
				c.other.want(t, r, zio.DAT)
				begin := time.Now()
				if err := c.close(); err != nil {
					t.Fatal(err)
				}
				c.other.want(t, r, zio.EOT)
				if waited := time.Since(begin); waited != grace {
					t.Errorf("the EOT came after %v", waited)
				}
				c.other.say(`{"flow":"EOT"}`, nil)
				c.other.wantEnd(t, r, flow.Completed)
				if err := c.status(); err != nil && status.Code(err) != codes.Unknown { // io.EOF
					t.Errorf("the call ended with %v", err)
				}
			})
		})
		t.Run(name+" with EOT", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSlowRig(t, func(o *Options) { o.Grace = grace })
				defer r.stop()
				c := open(t, r)
				c.other.want(t, r, zio.DAT)
				begin := time.Now()
				if err := errors.Join(c.eot(), c.close()); err != nil {
					t.Fatal(err)
				}
				c.other.want(t, r, zio.EOT)
				if waited := time.Since(begin); waited != 0 {
					t.Errorf("the EOT came after %v", waited)
				}
				c.cancel()
				synctest.Wait()
				c.other.say(`{"flow":"EOT"}`, nil)
				c.other.wantEnd(t, r, flow.Completed)
			})
		})
	}
}

// TestTakerThatBreaksOff_BRK_17: a taker whose half is closed is gone when it is
// cancelled, also after the gateway has said EOT for it.
func TestTakerThatBreaksOff_BRK_17(t *testing.T) {
	for _, used := range []bool{false, true} { // up, its credit
		synctest.Test(t, func(t *testing.T) {
			r := newSlowRig(t, func(*Options) {})
			defer r.stop()
			ctx, cancel := context.WithCancel(r.ctx)
			defer cancel()
			stream, err := r.flows.Open(ctx)
			if err != nil {
				t.Fatal(err)
			}
			openRequest(botOf(gatewayv1.Direction_DIRECTION_INJECT, 2), stream, t)
			other := r.accept(t)
			openRequest(payOf(2), stream, t)
			if err := stream.CloseSend(); err != nil {
				t.Fatal(err)
			}
			other.takePay(t, r)
			other.say(`{"flow":"DAT"}`, nil)
			if used {
				other.say(`{"flow":"DAT"}`, nil)
				if d := other.want(t, r, zio.EOT); d.Reason != flow.NotEnded {
					t.Errorf("the giver was told %v", d.Reason)
				}
			}
			cancel()
			synctest.Wait()
			other.say(`{"flow":"EOT"}`, nil)
			other.wantEnd(t, r, flow.PeerGone)
		})
	}
}

// TestCompletedMeansDelivered: the EOT of a taker that leaves it to the gateway is said
// when everything has left, and not while it could still be lost.
func TestCompletedMeansDelivered(t *testing.T) {
	const dats = 5
	for _, call := range []string{"Get", "Open"} {
		for size, name := range map[int]string{heavy: "large", 900: "small"} {
			t.Run(call+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newSlowRig(t, func(o *Options) { o.Stall = 24 * time.Hour })
					defer r.stop()
					n := dats * heavy / size // more than there is room for in any case
					other, recv := r.take(t, call, int64(n)+1)
					for range n {
						other.say(`{"flow":"DAT"}`, [][]byte{make([]byte, size)})
					}
					other.say(`{"flow":"EOT"}`, nil)
					time.Sleep(10 * time.Second) // sooner than the deadline for the answer
					synctest.Wait()
					if f := r.broker.Flows()[0]; f.Phase != flow.HalfClosed || f.Queued == 0 ||
						f.Data.Messages+uint64(f.Queued) < uint64(n)+1 || f.Data.Messages+uint64(f.Queued) > uint64(n)+2 { // one may be half written
						t.Errorf("with nothing read the flow is %v, %d messages have crossed and %d wait", f.Phase, f.Data.Messages, f.Queued)
					}
					for i := range n {
						if recv(t).GetDat() == nil {
							t.Fatalf("no DAT %d", i)
						}
					}
					eot := recv(t).GetEot()
					if call == "Get" && eot.GetReason() != gatewayv1.EndReason_END_REASON_COMPLETED || eot == nil {
						t.Errorf("got %v, want an EOT", eot)
					}
					other.wantEnd(t, r, flow.Completed)
					if data := r.broker.Flows()[0].Data; data != (transport.Count{Messages: uint64(n), Bytes: uint64(n * size)}) {
						t.Errorf("%+v have crossed, want %d of %d bytes", data, n, size)
					}
				})
			})
		}
	}
}

// TestTakerThatIsCutOffIsNotComplete: what waits for a Get when its flow ends otherwise
// is told with the reason.
func TestTakerThatIsCutOffIsNotComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSlowRig(t, func(o *Options) { o.Stall = 24 * time.Hour })
		defer r.stop()
		const dats = 5
		other, recv := r.take(t, "Get", dats)
		for range dats {
			other.say(`{"flow":"DAT"}`, [][]byte{make([]byte, heavy)})
		}
		other.say(`{"flow":"EOT"}`, nil)
		synctest.Wait()
		if _, err := r.broker.EndFlow(1, "enough"); err != nil {
			t.Fatal(err)
		}
		for range dats {
			if recv(t).GetDat() == nil {
				t.Fatal("no DAT")
			}
		}
		if eot := recv(t).GetEot(); eot.GetReason() != gatewayv1.EndReason_END_REASON_ENDED_BY_ADMIN || eot.GetDetail() != "enough" {
			t.Errorf("got %v", eot)
		}
		other.wantEnd(t, r, flow.EndedByAdmin)
	})
}
