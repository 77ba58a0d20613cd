package zioflow_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	zioflow "github.com/zioflow/gateway/clients/go"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

func TestPutAll(t *testing.T) {
	setup{}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
		i := 0
		handle(t, g, zioflow.Listener{Name: "taker"}, func(ctx context.Context, o *zioflow.Offer) error {
			taker, err := o.Take(ctx, zioflow.Bot{Attributes: map[string]any{"disk": "d1"}})
			if err != nil {
				return err
			}
			for dat, err := range taker.All(ctx) {
				if err != nil {
					return err
				}
				checkOdd(t, i, dat)
				i++
			}
			return nil
		})
		summary, err := g.PutAll(t.Context(), zioflow.Bot{Credit: 2}, zioflow.Dats(slices.Values(odd)))
		if err != nil {
			t.Fatal(err)
		}
		const bytes = 1 + 254 + 255 + 70_000 + 1
		if i != len(odd) || summary.Messages != uint64(len(odd)) || summary.Bytes != bytes || summary.FlowID == 0 {
			t.Errorf("%d taken, %+v", i, summary)
		}
		if summary.Bot.Credit != 2 || summary.Bot.Attributes["disk"] != "d1" || string(summary.EOTLabel) != `{"flow":"EOT"}` {
			t.Errorf("%+v, %s", summary.Bot, summary.EOTLabel)
		}
	})
}

func TestGetAll(t *testing.T) {
	setup{}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
		closed := make(chan error, 1)
		handle(t, g, zioflow.Listener{Name: "giver"}, func(ctx context.Context, o *zioflow.Offer) error {
			giver, err := o.Give(ctx, zioflow.Bot{})
			for _, dat := range odd {
				if err == nil {
					err = giver.Put(ctx, dat)
				}
			}
			if err == nil {
				err = giver.Close(ctx)
			}
			closed <- err
			return err
		})
		all := g.GetAll(t.Context(), zioflow.Bot{Credit: 2})
		for range 2 { // each range is a flow of its own
			i := 0
			for dat, err := range all {
				if err != nil {
					t.Fatal(err)
				}
				checkOdd(t, i, dat)
				i++
			}
			if err := <-closed; err != nil || i != len(odd) {
				t.Errorf("%d taken, giver: %v", i, err)
			}
		}
	})
}

// TestPutAll_takerEnds has a taker end early: after so many that the gateway is
// known to hold back the rest, and at once.
func TestPutAll_takerEnds(t *testing.T) {
	for name, want := range map[string]int{"in the middle": 5, "at once": 0} {
		t.Run(name, func(t *testing.T) {
			setup{}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
				handle(t, g, zioflow.Listener{Name: "early"}, func(ctx context.Context, o *zioflow.Offer) error {
					taker, err := o.Take(ctx, zioflow.Bot{})
					if err != nil {
						return err
					}
					if _, err := take(t, taker, want); err != nil {
						return err
					}
					return taker.Close(ctx)
				})
				dats := slices.Repeat([]zioflow.Dat{text("x")}, 1000)
				summary, err := g.PutAll(t.Context(), zioflow.Bot{Credit: 2}, zioflow.Dats(slices.Values(dats)))
				if !errors.Is(err, zioflow.ErrTakerEnded) || summary.FlowID == 0 {
					t.Errorf("PutAll: %+v, %v", summary, err)
				}
				if summary.Messages < uint64(want) || summary.Messages > uint64(want)+4 {
					t.Errorf("%d were passed on, want about %d", summary.Messages, want)
				}
			})
		})
	}
}

// TestPutAll_takerEnds_between has a taker end when all was passed on so far.
func TestPutAll_takerEnds_between(t *testing.T) {
	setup{}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
		handle(t, g, zioflow.Listener{Name: "one"}, func(ctx context.Context, o *zioflow.Offer) error {
			taker, err := o.Take(ctx, zioflow.Bot{})
			if err != nil {
				return err
			}
			if _, err := taker.Next(ctx); err != nil {
				return err
			}
			return taker.Close(ctx)
		})
		summary, err := g.PutAll(t.Context(), zioflow.Bot{Credit: 5}, func(yield func(zioflow.Dat, error) bool) {
			if !yield(text("a"), nil) {
				t.Error("the first message was not sent")
			}
			synctest.Wait()
			if yield(text("b"), nil) {
				t.Error("PutAll goes on after the end")
			}
		})
		if !errors.Is(err, zioflow.ErrTakerEnded) || summary.Messages != 1 {
			t.Errorf("PutAll: %+v, %v", summary, err)
		}
	})
}

// TestPutAll_fails has the sequence fail: the taker must not think it complete.
func TestPutAll_fails(t *testing.T) {
	for name, c := range map[string]struct {
		dat  zioflow.Dat
		err  error
		want error
	}{
		"error":     {zioflow.Dat{}, errWhy, errWhy},
		"io.EOF":    {zioflow.Dat{}, io.EOF, io.EOF},
		"invalid":   {zioflow.Dat{Level: 9}, nil, zioflow.ErrInvalid},
		"too large": {zioflow.Dat{Payload: [][]byte{make([]byte, 70_000)}}, nil, zioflow.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			small := []zioflow.DialOption{zioflow.WithMaxMessage(1000)}
			setup{dial: small}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
				ended := make(chan error, 1)
				handle(t, g, zioflow.Listener{Name: "taker"}, func(ctx context.Context, o *zioflow.Offer) error {
					taker, err := o.Take(ctx, zioflow.Bot{})
					if err != nil {
						return err
					}
					got, err := take(t, taker, 3)
					if len(got) != 2 {
						t.Errorf("took %v, want what came before", got)
					}
					ended <- err
					return nil
				})
				_, err := g.PutAll(t.Context(), zioflow.Bot{Credit: 2}, func(yield func(zioflow.Dat, error) bool) {
					_ = yield(text("a"), nil) && yield(text("b"), nil)
					synctest.Wait()
					if yield(c.dat, c.err) {
						t.Error("PutAll goes on after an error")
					}
				})
				if !errors.Is(err, c.want) {
					t.Errorf("PutAll: %v", err)
				}
				if err := <-ended; zioflow.ReasonOf(err) != zioflow.PeerGone {
					t.Errorf("the taker was told %v, want PeerGone", err)
				}
			})
		})
	}
}

// TestPutAll_pipe passes one flow on into another.
func TestPutAll_pipe(t *testing.T) {
	setup{}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
		var got []byte
		handle(t, g, zioflow.Listener{Name: "taker", Match: `direction == "inject"`},
			func(ctx context.Context, o *zioflow.Offer) error {
				taker, err := o.Take(ctx, zioflow.Bot{})
				if err != nil {
					return err
				}
				for dat, err := range taker.All(ctx) {
					if err != nil {
						return err
					}
					got = append(got, dat.Payload[0]...)
				}
				return nil
			})
		from := g.GetAll(t.Context(), zioflow.Bot{Credit: 3, Attributes: map[string]any{"count": 7, "size": 1}})
		summary, err := g.PutAll(t.Context(), zioflow.Bot{Credit: 2}, from)
		if err != nil || summary.Messages != 7 || !bytes.Equal(got, []byte{0, 1, 2, 3, 4, 5, 6}) {
			t.Errorf("%v, %v, %+v", got, err, summary)
		}
		failing := g.GetAll(t.Context(), zioflow.Bot{Credit: 3, Attributes: map[string]any{"count": "x"}})
		if _, err := g.PutAll(t.Context(), zioflow.Bot{Credit: 2}, failing); zioflow.ReasonOf(err) != zioflow.Rejected {
			t.Errorf("PutAll: %v, want what the source says", err)
		}
	})
}

// TestGetAll_break leaves the loop early.
func TestGetAll_break(t *testing.T) {
	setup{}.run(t, func(t *testing.T, m *memory, g *zioflow.Gateway) {
		for dat, err := range g.GetAll(t.Context(), zioflow.Bot{Credit: 3, Attributes: map[string]any{"count": 1 << 40}}) {
			if err != nil {
				t.Fatal(err)
			}
			if dat.Seqno == 10 {
				break
			}
		}
		synctest.Wait()
		if m.broker.Live() != 0 {
			t.Error("the flow lives on")
		}
	})
}

func TestBulk_refused(t *testing.T) {
	setup{bare: true}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
		check := func(what string, err error) {
			end, ok := errors.AsType[*zioflow.FlowError](err)
			if !ok || end.Reason != zioflow.NoHandler || end.FlowID == 0 || status.Code(err) != codes.Unavailable {
				t.Errorf("%s: %v", what, err)
			}
		}
		_, err := g.PutAll(t.Context(), zioflow.Bot{Credit: 1}, zioflow.Dats(slices.Values(odd)))
		check("PutAll", err)
		n := 0
		for _, err := range g.GetAll(t.Context(), zioflow.Bot{Credit: 1}) {
			check("GetAll", err)
			n++
		}
		if n != 1 {
			t.Errorf("%d errors, want 1", n)
		}
		for _, err := range g.GetAll(t.Context(), zioflow.Bot{Level: 9}) {
			if !errors.Is(err, zioflow.ErrInvalid) {
				t.Errorf("GetAll: %v", err)
			}
		}
	})
}

// TestGetAll_otherEnds is ends that only a broken gateway or connection makes.
func TestGetAll_otherEnds(t *testing.T) {
	bot := &gatewayv1.GetResponse{Message: &gatewayv1.GetResponse_Bot{Bot: &gatewayv1.Bot{FlowId: 12}}}
	dat := &gatewayv1.GetResponse{Message: &gatewayv1.GetResponse_Dat{Dat: &gatewayv1.Dat{}}}
	eot := &gatewayv1.GetResponse{Message: &gatewayv1.GetResponse_Eot{Eot: &gatewayv1.Eot{
		Reason: gatewayv1.EndReason_END_REASON_PEER_GONE,
	}}}
	for name, c := range map[string]struct {
		fake toldGateway
		want string
	}{
		"no EOT": {toldGateway{got: []*gatewayv1.GetResponse{bot, dat}},
			"zioflow: the stream ended before the flow: unexpected EOF"},
		"no status": {toldGateway{got: []*gatewayv1.GetResponse{bot, dat, eot}},
			"zioflow: flow 12 ended: peer_gone"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var errs []error
				for _, err := range serveFake(t, c.fake, nil).GetAll(t.Context(), zioflow.Bot{Credit: 1}) {
					errs = append(errs, err)
				}
				if len(errs) != 2 || errs[0] != nil || errs[1].Error() != c.want {
					t.Errorf("got %v, want nil and %s", errs, c.want)
				}
			})
		})
	}
}
