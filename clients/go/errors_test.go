package zioflow_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	zioflow "github.com/zioflow/gateway/clients/go"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// TestReason holds this package's table against the gateway's own.
func TestReason(t *testing.T) {
	for _, want := range flow.Reasons() {
		got := zioflow.Reason(want)
		if got.String() != want.String() || got.Retry() != want.Retry() {
			t.Errorf("%d: %v, %v; the gateway has %v, %v", want, got, got.Retry(), want, want.Retry())
		}
	}
	if zioflow.Completed.String() != "completed" || zioflow.Overloaded != zioflow.Reason(flow.Overloaded) {
		t.Error("the constants are shifted")
	}
	if s := zioflow.Unknown.String() + zioflow.Reason(99).String(); s != "unknown99" {
		t.Error(s)
	}
}

// holdFlow opens a flow that stays open.
func holdFlow(t *testing.T, g *zioflow.Gateway) {
	t.Helper()
	if _, err := g.Take(t.Context(), zioflow.Bot{Credit: 1, Attributes: map[string]any{"count": 1 << 40}}); err != nil {
		t.Fatal(err)
	}
}

func takeAll(ctx context.Context, h zioflow.Bot) zioflow.Handler {
	return func(_ context.Context, o *zioflow.Offer) error {
		taker, err := o.Take(ctx, h)
		if err != nil {
			return err
		}
		for _, err := range taker.All(ctx) {
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// TestGive_refused is every way in which a BOT does not become a flow.
func TestGive_refused(t *testing.T) {
	for name, c := range map[string]struct {
		setup  setup
		before func(*testing.T, *memory, *zioflow.Gateway)
		bot    zioflow.Bot
		want   zioflow.Reason
		code   codes.Code
		detail string
		noID   bool
	}{
		"no route": {
			setup: setup{bare: true}, bot: zioflow.Bot{Credit: 1},
			want: zioflow.NoHandler, code: codes.Unavailable, detail: "no handler takes",
		},
		"factory": {
			bot:  zioflow.Bot{Credit: 1, Attributes: map[string]any{"count": "x"}},
			want: zioflow.Rejected, code: codes.FailedPrecondition, detail: "attribute count is x",
		},
		"silent listener": {
			before: func(t *testing.T, _ *memory, g *zioflow.Gateway) {
				handle(t, g, zioflow.Listener{Name: "idle"}, func(ctx context.Context, _ *zioflow.Offer) error {
					<-ctx.Done()
					return nil
				})
			},
			bot:  zioflow.Bot{Credit: 1},
			want: zioflow.HandlerTimeout, code: codes.DeadlineExceeded, detail: "listener idle",
		},
		"full listener": {
			before: func(t *testing.T, _ *memory, g *zioflow.Gateway) {
				handle(t, g, zioflow.Listener{Name: "full", MaxFlows: 1}, takeAll(t.Context(), zioflow.Bot{}))
				if _, err := g.Give(t.Context(), zioflow.Bot{Credit: 1, Attributes: map[string]any{"first": true}}); err != nil {
					t.Fatal(err)
				}
			},
			bot:  zioflow.Bot{Credit: 1},
			want: zioflow.Overloaded, code: codes.ResourceExhausted, detail: "listeners named full",
		},
		"full gateway": {
			setup:  setup{change: func(o *broker.Options) { o.MaxFlows = 1 }},
			before: func(t *testing.T, _ *memory, g *zioflow.Gateway) { holdFlow(t, g) },
			bot:    zioflow.Bot{Credit: 1},
			want:   zioflow.Overloaded, code: codes.ResourceExhausted, detail: "number of flows", noID: true,
		},
		"draining": {
			before: func(_ *testing.T, m *memory, _ *zioflow.Gateway) { m.broker.Drain() },
			bot:    zioflow.Bot{Credit: 1},
			want:   zioflow.Draining, code: codes.Unavailable, detail: "shutting down", noID: true,
		},
		"no credit": {
			before: func(t *testing.T, _ *memory, g *zioflow.Gateway) {
				handle(t, g, zioflow.Listener{Name: "open"}, takeAll(t.Context(), zioflow.Bot{}))
			},
			want: zioflow.ProtocolError, code: codes.InvalidArgument, detail: "positive credit",
		},
		"too large": {
			setup: setup{change: func(o *broker.Options) { o.MaxMessage = 1000 }},
			bot:   zioflow.Bot{Credit: 1, Payload: [][]byte{make([]byte, 1001)}},
			want:  zioflow.MessageTooLarge, code: codes.ResourceExhausted, detail: "1001 bytes", noID: true,
		},
		"negative credit": {
			bot:  zioflow.Bot{Credit: -1},
			want: zioflow.Unknown, code: codes.InvalidArgument, detail: "credit: is -1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.setup.run(t, func(t *testing.T, m *memory, g *zioflow.Gateway) {
				if c.before != nil {
					c.before(t, m, g)
				}
				_, err := g.Take(t.Context(), c.bot)
				if strings.Contains(name, "listener") || name == "no credit" {
					_, err = g.Give(t.Context(), c.bot)
				}
				if status.Code(err) != c.code || !strings.Contains(err.Error(), c.detail) {
					t.Errorf("%v has status %v, want %v with %q", err, status.Code(err), c.code, c.detail)
				}
				end, ok := errors.AsType[*zioflow.FlowError](err)
				switch {
				case ok != (c.want != zioflow.Unknown) || zioflow.ReasonOf(err) != c.want:
					t.Errorf("%#v, want %v", err, c.want)
				case ok && (end.FlowID == 0) != c.noID:
					t.Errorf("%+v has id %d", end, end.FlowID)
				}
			})
		})
	}
}

// TestFlow_ended is ends in the middle of a flow, which both sides see.
func TestFlow_ended(t *testing.T) {
	for name, c := range map[string]struct {
		setup setup
		do    func(t *testing.T, m *memory, giver *zioflow.Giver)
		want  zioflow.Reason
	}{
		"operator": {
			do: func(_ *testing.T, m *memory, _ *zioflow.Giver) {
				m.broker.Close(flow.EndedByAdmin, "because")
			},
			want: zioflow.EndedByAdmin,
		},
		"idle": {
			setup: setup{change: func(o *broker.Options) { o.IdleTimeout = time.Minute }},
			do:    func(*testing.T, *memory, *zioflow.Giver) { time.Sleep(3 * time.Minute) }, // of the bubble's time
			want:  zioflow.IdleTimeout,
		},
		"label": {
			do: func(t *testing.T, _ *memory, giver *zioflow.Giver) {
				if err := giver.Put(t.Context(), zioflow.Dat{Label: []byte(`{"flow":"PAY"}`)}); err != nil {
					t.Error(err)
				}
			},
			want: zioflow.ProtocolError,
		},
		"large": {
			setup: setup{change: func(o *broker.Options) { o.MaxMessage = 1000 }},
			do: func(t *testing.T, _ *memory, giver *zioflow.Giver) {
				if err := giver.Put(t.Context(), zioflow.Dat{Payload: [][]byte{make([]byte, 1001)}}); err != nil {
					t.Error(err)
				}
			},
			want: zioflow.MessageTooLarge,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.setup.run(t, func(t *testing.T, m *memory, g *zioflow.Gateway) {
				giver, taker := pair(t, g, 3, true)
				put(t, giver, "a")
				synctest.Wait()
				c.do(t, m, giver)
				synctest.Wait()
				got, err := take(t, taker, 2)
				if len(got) != 1 {
					t.Errorf("took %v", got)
				}
				for what, err := range map[string]error{
					"Next": err, "Put": giver.Put(t.Context(), text("b")),
					"Giver.Close": giver.Close(t.Context()), "Taker.Close": taker.Close(t.Context()),
				} {
					end, ok := errors.AsType[*zioflow.FlowError](err)
					if !ok || end.Reason != c.want || end.Detail == "" || end.FlowID != giver.FlowID() {
						t.Errorf("%s: %v, want %v", what, err, c.want)
					}
				}
			})
		})
	}
}

// TestFlow_tooLarge puts what the gateway's gRPC refuses before the gateway sees
// it.
func TestFlow_tooLarge(t *testing.T) {
	small := func(o *broker.Options) { o.MaxMessage = 1000 }
	setup{change: small}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
		giver, taker := pair(t, g, 3, true)
		if err := giver.Put(t.Context(), zioflow.Dat{Payload: [][]byte{make([]byte, 100_000)}}); err != nil {
			t.Fatal(err)
		}
		if err := giver.Close(t.Context()); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("giver: %v", err)
		}
		if _, err := taker.Next(t.Context()); zioflow.ReasonOf(err) != zioflow.MessageTooLarge {
			t.Errorf("taker: %v", err)
		}
	})
}

func told(reason flow.Reason, detail string) *gatewayv1.OpenResponse {
	return &gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Eot{
		Eot: &gatewayv1.Eot{Reason: gatewayv1.EndReason(reason), Detail: detail},
	}}
}

func statusOf(t *testing.T, domain, reason, message string) error {
	t.Helper()
	s, err := status.New(codes.Aborted, message).WithDetails(&errdetails.ErrorInfo{
		Domain: domain, Reason: reason, Metadata: map[string]string{"flow_id": "12"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.Err()
}

// TestFlowError reads every reason from an EOT, from a status, and from both.
func TestFlowError(t *testing.T) {
	bot := &gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Bot{Bot: &gatewayv1.Bot{FlowId: 12, Credit: 1}}}
	for _, reason := range flow.Reasons()[1:] {
		full := statusOf(t, "gateway.zioflow", strings.ToUpper(reason.String()), reason.String()+": why")
		for name, fake := range map[string]toldGateway{
			"status":            {end: full},
			"refusal":           {messages: []*gatewayv1.OpenResponse{told(reason, "why")}, end: full},
			"late":              {messages: []*gatewayv1.OpenResponse{bot, told(reason, "why")}, end: full},
			"EOT only":          {messages: []*gatewayv1.OpenResponse{bot, told(reason, "why")}},
			"EOT, connection":   {messages: []*gatewayv1.OpenResponse{bot, told(reason, "why")}, end: status.Error(codes.Unavailable, "x")},
			"status after EOTs": {messages: []*gatewayv1.OpenResponse{bot, told(0, ""), told(0, "")}, end: full},
		} {
			t.Run(fmt.Sprint(reason, "/", name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					taker, err := serveFake(t, fake, nil).Take(t.Context(), zioflow.Bot{Credit: 1})
					if err == nil {
						_, err = taker.Next(t.Context())
					}
					end, ok := errors.AsType[*zioflow.FlowError](err)
					if !ok || end.Reason != zioflow.Reason(reason) || end.Detail != "why" || end.FlowID != 12 {
						t.Fatalf("got %+v (%v)", end, err)
					}
					if want := "zioflow: flow 12 ended: " + reason.String() + ": why"; err.Error() != want {
						t.Errorf("%q, want %q", err, want)
					}
					if want := status.Code(fake.end); fake.end != nil && status.Code(err) != want {
						t.Errorf("status %v, want %v", status.Code(err), want)
					}
					if errors.Is(err, io.EOF) {
						t.Error("looks like a normal end")
					}
				})
			})
		}
	}
}

// TestFlow_otherEnds is ends that are not the gateway's words.
func TestFlow_otherEnds(t *testing.T) {
	bot := &gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Bot{Bot: &gatewayv1.Bot{FlowId: 12, Credit: 1}}}
	for name, c := range map[string]struct {
		fake  toldGateway
		check func(error) bool
	}{
		"no EOT": {
			toldGateway{messages: []*gatewayv1.OpenResponse{bot}},
			func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) },
		},
		"nothing": {
			toldGateway{},
			func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) },
		},
		"other domain": {
			toldGateway{end: statusOf(t, "proxy", "REJECTED", "no")},
			func(err error) bool {
				return zioflow.ReasonOf(err) == zioflow.Unknown && status.Code(err) == codes.Aborted
			},
		},
		"newer gateway": {
			toldGateway{end: statusOf(t, "gateway.zioflow", "MOON_FULL", "moon_full")},
			func(err error) bool {
				end, ok := errors.AsType[*zioflow.FlowError](err)
				return ok && end.Reason == zioflow.Unknown && end.Detail == "moon_full" && !end.Retry()
			},
		},
		"deadline elsewhere": {
			toldGateway{end: status.Error(codes.DeadlineExceeded, "x")},
			func(err error) bool {
				return errors.Is(err, context.DeadlineExceeded) && status.Code(err) == codes.DeadlineExceeded
			},
		},
		"completed, then cut off": {
			toldGateway{messages: []*gatewayv1.OpenResponse{bot, told(flow.Completed, "")}, end: status.Error(codes.Unavailable, "x")},
			func(err error) bool { return errors.Is(err, io.EOF) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				taker, err := serveFake(t, c.fake, nil).Take(t.Context(), zioflow.Bot{Credit: 1})
				if err == nil {
					_, err = taker.Next(t.Context())
				}
				if !c.check(err) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// TestWithTransportCredentials shows that a gateway in clear is refused.
func TestWithTransportCredentials(t *testing.T) {
	tls := zioflow.WithTransportCredentials(credentials.NewTLS(nil))
	setup{dial: []zioflow.DialOption{tls}}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
		_, err := g.Give(t.Context(), zioflow.Bot{Credit: 1})
		if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "does not use TLS") {
			t.Errorf("Give: %v", err)
		}
	})
}

func TestDial_refused(t *testing.T) {
	if g, err := zioflow.Dial("no-such-scheme://x\x00"); err == nil {
		t.Errorf("Dial: %v", g.Close())
	}
}

// TestName: operators see by which name, and which program, a client calls.
func TestName(t *testing.T) {
	t.Parallel()
	if _, err := zioflow.Dial("127.0.0.1:1", zioflow.WithName("a\nb")); err == nil {
		t.Error("a name of two lines was taken")
	}
}
