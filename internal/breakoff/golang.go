package breakoff

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// golang is a Peer with grpc-go, in this process. It is killed by a reset of its
// connection.
type golang struct {
	job    Job
	conn   *grpc.ClientConn
	cancel context.CancelFunc
	finish func() error // closes the sending half
	last   func() error // waits for the call's end

	mu   sync.Mutex
	wire net.Conn // guarded by mu
}

// Go is a Peer with grpc-go.
func Go() Peer { return new(golang) }

// Begin implements Peer.
func (g *golang) Begin(ctx context.Context, job Job) (err error) {
	g.job = job
	g.conn, err = grpc.NewClient("passthrough:"+job.Address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			wire, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			g.mu.Lock()
			defer g.mu.Unlock()
			g.wire = wire
			return wire, err
		}))
	if err != nil {
		return err
	}
	ctx, g.cancel = context.WithCancel(ctx)
	if job.DeadlineMS > 0 {
		ctx, g.cancel = context.WithTimeout(ctx, time.Duration(job.DeadlineMS)*time.Millisecond)
	}
	label, err := json.Marshal(job.Attributes)
	if err != nil {
		return err
	}
	bot := &gatewayv1.Bot{Credit: int64(job.Credit), Cid: job.CID, Label: string(label)}
	flows := gatewayv1.NewFlowServiceClient(g.conn)
	if job.Call == "put" {
		return g.put(ctx, flows, bot)
	}
	return g.open(ctx, flows, bot)
}

func (g *golang) put(ctx context.Context, flows gatewayv1.FlowServiceClient, bot *gatewayv1.Bot) error {
	stream, err := flows.Put(ctx)
	if err != nil {
		return err
	}
	g.finish, g.last = stream.CloseSend, func() error { return stream.RecvMsg(new(gatewayv1.PutResponse)) }
	err = stream.Send(&gatewayv1.PutRequest{Message: &gatewayv1.PutRequest_Bot{Bot: bot}})
	for range g.job.Dats {
		err = errors.Join(err, stream.Send(&gatewayv1.PutRequest{Message: &gatewayv1.PutRequest_Dat{Dat: g.dat()}}))
	}
	return err
}

func (g *golang) dat() *gatewayv1.Dat {
	return &gatewayv1.Dat{Payload: [][]byte{make([]byte, g.job.Size)}}
}

func (g *golang) open(ctx context.Context, flows gatewayv1.FlowServiceClient, bot *gatewayv1.Bot) error {
	stream, err := flows.Open(ctx)
	if err != nil {
		return err
	}
	g.finish, g.last = stream.CloseSend, func() error {
		for {
			if _, err := stream.Recv(); err != nil {
				return err
			}
		}
	}
	bot.Direction = gatewayv1.Direction_DIRECTION_EXTRACT
	if g.job.Call == "take" {
		bot.Direction = gatewayv1.Direction_DIRECTION_INJECT
	}
	if err := stream.Send(sayBot(bot)); err != nil {
		return err
	}
	if g.job.Call == "take" {
		return errors.Join(stream.Send(sayPay(g.job.Credit)), stream.CloseSend(), g.await(stream, g.job.Dats, isDat))
	}
	err = g.await(stream, 1, isPay)
	for range g.job.Dats {
		err = errors.Join(err, stream.Send(sayDat(g.dat())))
	}
	return err
}

// await reads until n messages of a kind have come; its deadline may be sooner.
func (g *golang) await(stream gatewayv1.FlowService_OpenClient, n int, kind func(*gatewayv1.OpenResponse) bool) error {
	for n > 0 {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		if kind(m) {
			n--
		}
	}
	return nil
}

// BreakOff implements Peer.
func (g *golang) BreakOff() error {
	switch g.job.End {
	case "cancel":
		g.cancel()
	case "close":
		_ = g.conn.Close()
	case "kill":
		g.mu.Lock()
		if tcp, is := g.wire.(*net.TCPConn); is {
			_ = tcp.SetLinger(0)
			_ = tcp.Close()
		}
		g.mu.Unlock()
	}
	good := g.job.End == "finish"
	if good {
		_ = g.finish() // what is wrong with it, the end says
	}
	err := g.last()
	g.Close()
	switch ok := err == nil || errors.Is(err, io.EOF); {
	case ok == good:
		return nil
	case ok:
		return errors.New("the call ended well")
	default:
		return fmt.Errorf("the call ended with %w", err)
	}
}

// Close implements Peer.
func (g *golang) Close() {
	if g.cancel != nil {
		g.cancel()
	}
	if g.conn != nil {
		_ = g.conn.Close()
	}
}

func isDat(m *gatewayv1.OpenResponse) bool { return m.GetDat() != nil }
func isPay(m *gatewayv1.OpenResponse) bool { return m.GetPay() != nil }

func sayBot(b *gatewayv1.Bot) *gatewayv1.OpenRequest {
	return &gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Bot{Bot: b}}
}

func sayPay(credit int) *gatewayv1.OpenRequest {
	return &gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Pay{Pay: &gatewayv1.Pay{Credit: int64(credit)}}}
}

func sayDat(d *gatewayv1.Dat) *gatewayv1.OpenRequest {
	return &gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Dat{Dat: d}}
}

func sayEOT() *gatewayv1.OpenRequest {
	return &gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Eot{Eot: &gatewayv1.Eot{}}}
}
