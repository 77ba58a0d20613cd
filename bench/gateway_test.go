package bench

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/native"
	"github.com/zioflow/gateway/server"
	"github.com/zioflow/gateway/zmqbridge"
)

// gateway is a gateway in this process, with one listener: this.
type gateway struct {
	zmq    string
	client gatewayv1.FlowServiceClient
	offers chan broker.Offer
}

// Offer implements broker.ListenerSink.
func (g *gateway) Offer(o broker.Offer) error {
	g.offers <- o
	return nil
}

// Withdraw implements broker.ListenerSink.
func (g *gateway) Withdraw(uint64, flow.Reason) {}

func startGateway(b *testing.B) *gateway {
	limits := broker.DefaultOptions()
	core := must(broker.New(limits))(b)
	options := zmqbridge.DefaultOptions(limits)
	options.Servers = []string{"tcp://127.0.0.1:*"}
	bridge := must(zmqbridge.Open(core, options))(b)
	front := server.New(core, server.DefaultOptions(limits))
	listener := must(net.Listen("tcp", "127.0.0.1:0"))(b)
	go func() { _ = front.Serve(listener) }()
	conn := must(grpc.NewClient(listener.Addr().String(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30), grpc.MaxCallSendMsgSize(1<<30))))(b)
	g := &gateway{
		zmq: bridge.Servers()[0], client: gatewayv1.NewFlowServiceClient(conn),
		offers: make(chan broker.Offer, 1),
	}
	must(core.Listen(broker.ListenerSpec{Name: "bench", Sink: g}))(b)
	b.Cleanup(func() {
		core.Close(flow.Draining, "")
		_ = conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		front.Stop(ctx)
		_ = bridge.Close()
	})
	return g
}

func must[T any](value T, err error) func(*testing.B) T {
	return func(b *testing.B) T {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
		return value
	}
}

const timeout = 10 * time.Second

// nativeTaker is a taker that opens its flow when it is called: the giver is
// the handler.
func (g *gateway) nativeTaker(b *testing.B) taker {
	peer := must(native.Dial(native.Client, g.zmq, ""))(b)
	b.Cleanup(func() { _ = peer.Close(0) })
	return func(n int) error {
		f, err := native.Open(peer, 0, []byte(`{"flow":"BOT","direction":"inject","credit":100}`), nil, timeout)
		if err != nil {
			return err
		}
		for range n {
			if _, err := f.Get(); err != nil {
				return err
			}
		}
		return nil
	}
}

func (g *gateway) nativeGiver(b *testing.B, size int) giver {
	peer := must(native.Dial(native.Client, g.zmq, ""))(b)
	b.Cleanup(func() { _ = peer.Close(0) })
	payload := [][]byte{make([]byte, size)}
	return func(n int) error {
		f, err := native.Open(peer, 0, (<-g.offers).Bot.Label, nil, timeout)
		if err != nil {
			return err
		}
		for range n {
			if err := f.Put([]byte(`{"flow":"DAT"}`), payload); err != nil {
				return err
			}
		}
		return nil
	}
}

func (g *gateway) open(b *testing.B) gatewayv1.FlowService_OpenClient {
	ctx, cancel := context.WithCancel(context.Background())
	b.Cleanup(cancel)
	return must(g.client.Open(ctx))(b)
}

func (g *gateway) grpcTaker(b *testing.B) taker {
	stream := g.open(b)
	return func(n int) error {
		bot := &gatewayv1.Bot{Direction: gatewayv1.Direction_DIRECTION_INJECT, Credit: credit}
		if err := stream.Send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Bot{Bot: bot}}); err != nil {
			return err
		}
		if _, err := stream.Recv(); err != nil {
			return err
		}
		owed := int64(credit)
		for got := 0; got < n; got++ {
			if owed >= credit/4 {
				pay := &gatewayv1.Pay{Credit: owed}
				if err := stream.Send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Pay{Pay: pay}}); err != nil {
					return err
				}
				owed = 0
			}
			if _, err := stream.Recv(); err != nil {
				return err
			}
			owed++
		}
		return nil
	}
}

func (g *gateway) grpcGiver(b *testing.B, size int) giver {
	stream := g.open(b)
	dat := &gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Dat{Dat: &gatewayv1.Dat{Payload: [][]byte{make([]byte, size)}}}}
	return func(n int) error {
		bot := &gatewayv1.Bot{Label: string((<-g.offers).Bot.Label)}
		if err := stream.Send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Bot{Bot: bot}}); err != nil {
			return err
		}
		for held := int64(0); n > 0; n-- {
			for held == 0 {
				answer, err := stream.Recv()
				if err != nil {
					return err
				}
				held += answer.GetPay().GetCredit()
			}
			held--
			if err := stream.Send(dat); err != nil {
				return err
			}
		}
		return nil
	}
}
