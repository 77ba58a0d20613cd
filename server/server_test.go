package server_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/builtin"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/relay"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// front is a gateway in memory, with its clients.
type front struct {
	broker   *broker.Broker
	server   *server.Server
	flows    gatewayv1.FlowServiceClient
	handlers gatewayv1.HandlerServiceClient
	admin    gatewayv1.AdminServiceClient
	process  *program
	conn     *grpc.ClientConn
	ctx      context.Context // ends with the test, or when it takes too long
}

func start(t *testing.T, change func(*broker.Options)) *front {
	t.Helper()
	return startWith(t, change, func(*server.Options) {})
}

func startWith(t *testing.T, change func(*broker.Options), configure func(*server.Options)) *front {
	t.Helper()
	limits := broker.DefaultOptions()
	if change != nil {
		change(&limits)
	}
	b, err := broker.New(limits)
	if err != nil {
		t.Fatal(err)
	}
	handlers := builtin.New(b, limits.Log)
	if err := handlers.AddDefaultRoutes(); err != nil {
		t.Fatal(err)
	}
	steered := &program{broker: b}
	options := server.DefaultOptions(limits)
	options.Process, options.Grace = steered, time.Millisecond
	configure(&options)
	s := server.New(b, options)
	steered.server = s
	listener := bufconn.Listen(1 << 20)
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:gateway",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithInitialWindowSize(64<<10), // and no more: who does not read is soon sent nothing
		grpc.WithMaxHeaderListSize(8<<10),  // as clients of other languages
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // some tests have 10,000 flows
	t.Cleanup(func() {
		b.Close(flow.Draining, "the test is over")
		handlers.Wait()
		s.Stop(ctx)
		cancel()
		_ = conn.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return &front{
		broker: b, server: s, flows: gatewayv1.NewFlowServiceClient(conn), handlers: gatewayv1.NewHandlerServiceClient(conn),
		admin: gatewayv1.NewAdminServiceClient(conn), process: steered, conn: conn, ctx: ctx,
	}
}

func (f *front) open(t *testing.T, first *gatewayv1.OpenRequest) gatewayv1.FlowService_OpenClient {
	t.Helper()
	stream, err := f.flows.Open(f.ctx)
	if err != nil {
		t.Fatal(err)
	}
	send(t, stream, first)
	return stream
}

func send(t *testing.T, stream gatewayv1.FlowService_OpenClient, r *gatewayv1.OpenRequest) {
	t.Helper()
	if err := stream.Send(r); err != nil {
		t.Fatal(err)
	}
}

func bot(b *gatewayv1.Bot) *gatewayv1.OpenRequest {
	return &gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Bot{Bot: b}}
}

func pay(n int64) *gatewayv1.OpenRequest {
	return &gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Pay{Pay: &gatewayv1.Pay{Credit: n}}}
}

func dat(d *gatewayv1.Dat) *gatewayv1.OpenRequest {
	return &gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Dat{Dat: d}}
}

func eot() *gatewayv1.OpenRequest {
	return &gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Eot{Eot: &gatewayv1.Eot{}}}
}

func taking(count int) *gatewayv1.OpenRequest {
	return bot(&gatewayv1.Bot{Label: `{"direction":"inject","credit":5,"count":` + string(rune('0'+count)) + `}`})
}

func giving(credit int64) *gatewayv1.OpenRequest {
	return bot(&gatewayv1.Bot{Direction: gatewayv1.Direction_DIRECTION_EXTRACT, Credit: credit})
}

// awaitCredit reads the BOT and the PAY that a giver has to wait for.
func awaitCredit(t *testing.T, stream gatewayv1.FlowService_OpenClient) string {
	t.Helper()
	if m, err := stream.Recv(); err != nil || m.GetBot() == nil {
		t.Fatalf("got %v, %v, want BOT", m, err)
	}
	if m, err := stream.Recv(); err != nil || m.GetPay() == nil {
		t.Fatalf("got %v, %v, want PAY", m, err)
	}
	return "BOT PAY "
}

// transcript is what a stream receives until it ends, a word for each message,
// the last one the status unless that is OK. An EOT without an error reads the
// same whether the other side's came before it or not.
func transcript(stream gatewayv1.FlowService_OpenClient) string {
	var words []string
	for {
		response, err := stream.Recv()
		if err != nil {
			if status.Code(err) != codes.Unknown {
				words = append(words, status.Code(err).String())
			}
			return strings.Join(words, " ")
		}
		switch m := response.GetMessage().(type) {
		case *gatewayv1.OpenResponse_Bot:
			words = append(words, "BOT")
		case *gatewayv1.OpenResponse_Pay:
			words = append(words, "PAY")
		case *gatewayv1.OpenResponse_Dat:
			words = append(words, "DAT")
		case *gatewayv1.OpenResponse_Eot:
			word := "EOT:" + strings.TrimPrefix(m.Eot.GetReason().String(), "END_REASON_")
			if word == "EOT:UNSPECIFIED" || word == "EOT:COMPLETED" {
				word = "EOT"
			}
			words = append(words, word)
		}
	}
}

func TestOpenAgainstBuiltIns(t *testing.T) {
	for name, tt := range map[string]struct {
		send []*gatewayv1.OpenRequest
		shut bool
		want string
	}{
		"takes, shuts its sending half at once":     {[]*gatewayv1.OpenRequest{taking(3), pay(5)}, true, "BOT DAT DAT DAT EOT"},
		"takes less than there is, then shuts":      {[]*gatewayv1.OpenRequest{taking(9), pay(2)}, true, "BOT DAT DAT EOT"},
		"takes, answers EOT":                        {[]*gatewayv1.OpenRequest{taking(0), eot()}, false, "BOT EOT"},
		"gives, and shuts":                          {[]*gatewayv1.OpenRequest{giving(1), dat(&gatewayv1.Dat{})}, true, "BOT PAY PAY EOT"},
		"gives nothing":                             {[]*gatewayv1.OpenRequest{giving(1)}, true, "BOT PAY EOT"},
		"pays too much":                             {[]*gatewayv1.OpenRequest{taking(9), pay(6)}, false, "BOT EOT:CREDIT_VIOLATION FailedPrecondition"},
		"pays less than nothing":                    {[]*gatewayv1.OpenRequest{taking(9), pay(-1)}, false, "BOT EOT:CREDIT_VIOLATION FailedPrecondition"},
		"gives, though it takes":                    {[]*gatewayv1.OpenRequest{taking(9), dat(&gatewayv1.Dat{})}, false, "BOT EOT:PROTOCOL_ERROR InvalidArgument"},
		"a second BOT":                              {[]*gatewayv1.OpenRequest{taking(9), taking(9)}, false, "BOT EOT:PROTOCOL_ERROR InvalidArgument"},
		"an empty message":                          {[]*gatewayv1.OpenRequest{taking(9), {}}, false, "BOT EOT:PROTOCOL_ERROR InvalidArgument"},
		"a label of another type":                   {[]*gatewayv1.OpenRequest{giving(1), dat(&gatewayv1.Dat{Label: `{"flow":"EOT"}`})}, false, "BOT PAY EOT:PROTOCOL_ERROR InvalidArgument"},
		"a label that is no JSON":                   {[]*gatewayv1.OpenRequest{giving(1), dat(&gatewayv1.Dat{Label: `flow`})}, false, "BOT PAY EOT:PROTOCOL_ERROR InvalidArgument"},
		"a level there is not":                      {[]*gatewayv1.OpenRequest{giving(1), dat(&gatewayv1.Dat{Level: 9})}, false, "BOT PAY EOT:PROTOCOL_ERROR InvalidArgument"},
		"first a PAY":                               {[]*gatewayv1.OpenRequest{pay(1)}, false, "InvalidArgument"},
		"negative credit":                           {[]*gatewayv1.OpenRequest{giving(-1)}, false, "InvalidArgument"},
		"no direction":                              {[]*gatewayv1.OpenRequest{bot(&gatewayv1.Bot{Credit: 1})}, false, "InvalidArgument"},
		"a cid nobody has":                          {[]*gatewayv1.OpenRequest{bot(&gatewayv1.Bot{Label: `{"direction":"inject","cid":5}`})}, false, "FailedPrecondition"},
		"an attribute that is a field":              {[]*gatewayv1.OpenRequest{bot(&gatewayv1.Bot{Attributes: attributes(t, `{"credit":5}`)})}, false, "InvalidArgument"},
		"generate refuses an attribute, the reason": {[]*gatewayv1.OpenRequest{bot(&gatewayv1.Bot{Label: `{"direction":"inject","credit":1,"count":-1}`})}, false, "FailedPrecondition"},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, nil)
			stream := f.open(t, tt.send[0])
			var before string
			if tt.send[0].GetBot().GetDirection() == gatewayv1.Direction_DIRECTION_EXTRACT && tt.send[0].GetBot().GetCredit() > 0 {
				before = awaitCredit(t, stream)
			}
			for _, m := range tt.send[1:] {
				send(t, stream, m)
			}
			if tt.shut {
				if err := stream.CloseSend(); err != nil {
					t.Fatal(err)
				}
			}
			got := strings.TrimSpace(before + transcript(stream))
			// How often dump pays depends on how fast it is.
			if got != tt.want && strings.ReplaceAll(got, " PAY", "") != strings.ReplaceAll(tt.want, " PAY", "") {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestMessageTooLarge(t *testing.T) {
	f := start(t, func(o *broker.Options) { o.MaxMessage = 1000 })
	stream := f.open(t, giving(2))
	awaitCredit(t, stream)
	send(t, stream, dat(&gatewayv1.Dat{Payload: [][]byte{make([]byte, 1000)}}))
	send(t, stream, dat(&gatewayv1.Dat{Payload: [][]byte{make([]byte, 600), make([]byte, 401)}}))
	if got := transcript(stream); !strings.HasSuffix(got, "EOT:MESSAGE_TOO_LARGE ResourceExhausted") {
		t.Errorf("a payload of a byte too many: %s", got)
	}
	w := f.broker.Watch(10)
	defer w.Close()
	stream = f.open(t, giving(2))
	awaitCredit(t, stream)
	send(t, stream, dat(&gatewayv1.Dat{Payload: [][]byte{make([]byte, 1<<20)}}))
	if got := transcript(stream); !strings.HasSuffix(got, "ResourceExhausted") {
		t.Errorf("a message beyond what gRPC takes: %s", got)
	}
	if end := ended(w); end.Reason != flow.MessageTooLarge {
		t.Errorf("the flow ended with %v: %s", end.Reason, end.Detail)
	}
}

// A stream that is cancelled is a peer that has gone (BRK-17).
func TestCancelIsPeerGone_BRK_17(t *testing.T) {
	f := start(t, nil)
	w := f.broker.Watch(10)
	defer w.Close()
	ctx, cancel := context.WithCancel(f.ctx)
	stream, err := f.flows.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	send(t, stream, giving(1))
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if end := ended(w); end.Reason != flow.PeerGone || !strings.Contains(end.Detail, "cancel") {
		t.Errorf("ended with %v: %s", end.Reason, end.Detail)
	}
}

// Also while a message waits for the BOT that answers.
func TestCancelWhilePendingIsPeerGone_BRK_17(t *testing.T) {
	f := start(t, nil)
	listening, err := f.handlers.Listen(f.ctx, &gatewayv1.ListenRequest{Name: "l"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listening.Recv(); err != nil {
		t.Fatal(err)
	}
	w := f.broker.Watch(10)
	defer w.Close()
	ctx, cancel := context.WithCancel(f.ctx)
	stream, err := f.flows.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	send(t, stream, taking(1))
	send(t, stream, pay(1))
	if _, err := listening.Recv(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if end := ended(w); end.Reason != flow.PeerGone {
		t.Errorf("ended with %v: %s", end.Reason, end.Detail)
	}
}

// ended waits for a flow to end.
func ended(w *broker.Watcher) relay.Info {
	for e := range w.Events() {
		if e.Flow.Phase == flow.Ended {
			return *e.Flow
		}
	}
	return relay.Info{}
}

func TestClosingTellsEveryStream(t *testing.T) {
	f := start(t, nil)
	stream := f.open(t, giving(1))
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	listening, err := f.handlers.Listen(f.ctx, &gatewayv1.ListenRequest{Name: "l"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listening.Recv(); err != nil {
		t.Fatal(err)
	}
	f.broker.Close(flow.Draining, "going down")
	if got := transcript(stream); !strings.HasSuffix(got, "EOT:DRAINING Unavailable") {
		t.Errorf("stream: %s", got)
	}
	f.server.Stop(f.ctx)
	if _, err := listening.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("listener: %v", err)
	}
}
