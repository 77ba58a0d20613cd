//go:build soak

package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/native"
)

// slowTimeout is each timeout by which a gateway under test might take a slow taker for
// one that has gone, or stands still. The taker needs ten times that in all, and shows a
// sign of life well before each has run out.
const (
	slowTimeout = 2 * time.Second
	slowTimes   = 10
	slowStep    = slowTimeout * 2 / 5
)

var slowFlags = []string{
	"--stall-timeout=" + slowTimeout.String(), "--eot-timeout=" + slowTimeout.String(), "--idle-timeout=" + slowTimeout.String(),
	"--heartbeat=500ms", "--heartbeat-timeout=" + slowTimeout.String(),
	"--keepalive=1s", "--keepalive-timeout=" + slowTimeout.String(),
}

// slowTaker is a way to take, and to be slow at it.
type slowTaker struct {
	name string
	dial func(*gateway) (peer, error)
	size int           // of a message
	step time.Duration // from one to the next; 0 where the line is slow
}

// slowRate is what a slow line carries, in KiB a second. A message of slowMessage needs
// several timeouts.
const (
	slowRate    = 2000
	slowMessage = 10 << 20
)

var slowTakers = []slowTaker{
	{"CLIENT", func(g *gateway) (peer, error) { return dial(viaClient, g.addresses[viaClient]) }, 1 << 20, slowStep},
	{"DEALER", func(g *gateway) (peer, error) { return dial(viaDealer, g.addresses[viaDealer]) }, 1 << 20, slowStep},
	{"CLIENT that reads no further", func(g *gateway) (peer, error) { return dialNarrow(g, viaClient) }, 1 << 20, slowStep},
	{"DEALER that reads no further", func(g *gateway) (peer, error) { return dialNarrow(g, viaDealer) }, 1 << 20, slowStep},
	{"gRPC Open", func(g *gateway) (peer, error) { return dial(viaGRPC, g.addresses[viaGRPC]) }, 1 << 20, slowStep},
	{"gRPC Get", func(g *gateway) (peer, error) { return dialGet(g.addresses[viaGRPC]) }, 1 << 20, slowStep},
	{"CLIENT, slow line", func(g *gateway) (peer, error) { return dialSlowLine(g, viaClient) }, slowMessage, 0},
	{"DEALER, slow line", func(g *gateway) (peer, error) { return dialSlowLine(g, viaDealer) }, slowMessage, 0},
	{"gRPC Open, slow line", func(g *gateway) (peer, error) { return dialSlowLine(g, viaGRPC) }, slowMessage, 0},
}

// TestSlowTakers has takers of every transport take ten times as long as any timeout, of
// what has been given in a moment: none is cut, and all arrives.
func TestSlowTakers(t *testing.T) {
	g := startGateway(t, slowFlags...)
	d := openDesk(t, g)
	took := make(map[string]*sample, len(slowTakers))
	for _, taker := range slowTakers {
		took[taker.name] = new(sample)
	}
	flows := scaled(8, 1)
	inParallel(flows*len(slowTakers), flows*len(slowTakers), func(i int) {
		taker := slowTakers[i%len(slowTakers)]
		d, err := taker.run(d, transports[i/len(slowTakers)%3])
		if err != nil {
			t.Errorf("%s, from a giver via %s, after %v: %v", taker.name, transports[i/len(slowTakers)%3], d, err)
		}
		took[taker.name].add(d)
	})
	for _, taker := range slowTakers {
		report(t, fmt.Sprintf("none is cut in %d × each timeout (%v); data whole", slowTimes, slowTimeout),
			"%s, messages of %s: %v", taker.name, kib(int64(taker.size)), took[taker.name])
		if least := took[taker.name].quantile(0); least < slowTimes*slowTimeout {
			t.Errorf("%s needed only %v: this shows nothing", taker.name, least)
		}
	}
}

// run moves a flow's data, and returns how long that took the taker.
func (s slowTaker) run(d *desk, via transport) (took time.Duration, err error) {
	taking, err := s.dial(d.gateway)
	if err != nil {
		return 0, err
	}
	defer taking.close()
	giving, err := dial(via, d.gateway.addresses[via])
	if err != nil {
		return 0, err
	}
	defer giving.close()
	const credit = 4 // of which the taker pays each
	taker, giver, err := d.join(taking, giving, false, credit)
	if err != nil {
		return 0, err
	}
	const patience = 2 * slowTimes * slowTimeout // the machine has others to serve
	count := int(slowTimes*slowTimeout/slowStep) + 1
	if s.step == 0 {
		count = slowRate<<10*int(slowTimes*slowTimeout/time.Second)/s.size + 1
	}
	var wait sync.WaitGroup
	var given error
	wait.Go(func() { given = giver.carry(count, s.size, patience, func() {}) })
	began := time.Now()
	for err == nil {
		time.Sleep(s.step)
		err = taker.take(patience)
	}
	took = time.Since(began)
	if errors.Is(err, io.EOF) {
		err = taker.send(eotMessage())
	}
	wait.Wait()
	if err == nil && int(taker.count) != count {
		err = fmt.Errorf("%w: %d of %d messages arrived", errWrong, taker.count, count)
	}
	return took, errors.Join(err, given)
}

// dialNarrow is a peer that has the operating system read little ahead for it.
func dialNarrow(g *gateway, via transport) (peer, error) {
	p, err := dialWire(via, g.addresses[via], 0)
	if err != nil {
		return nil, err
	}
	if err := p.conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// slowLine is a peer behind a line that carries little.
type slowLine struct {
	peer
	stop func()
}

func (s *slowLine) close() {
	s.peer.close()
	s.stop()
}

func dialSlowLine(g *gateway, via transport) (peer, error) {
	proxy, err := newProxy(g.addresses[via])
	if err != nil {
		return nil, err
	}
	if err := poison(proxy, fmt.Sprintf(`"type":"bandwidth","attributes":{"rate":%d}`, slowRate)); err != nil {
		return nil, err
	}
	p, err := dial(via, proxied(g.addresses[via], proxy))
	if err != nil {
		return nil, err
	}
	return &slowLine{p, proxy.Stop}, nil
}

// getPeer is a peer that uses FlowService.Get: the gateway pays for it.
type getPeer struct {
	conn   *grpc.ClientConn
	ctx    context.Context
	cancel context.CancelFunc
	stream grpc.ServerStreamingClient[gatewayv1.GetResponse]
}

func dialGet(address string) (*getPeer, error) {
	conn, err := connect(address)
	if err != nil {
		return nil, err
	}
	p := &getPeer{conn: conn}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

// send begins with a BOT; the rest the gateway says.
func (p *getPeer) send(m *zio.Message) error {
	request, err := toRequest(m)
	if err != nil || request.GetBot() == nil {
		return err
	}
	p.stream, err = gatewayv1.NewFlowServiceClient(p.conn).Get(p.ctx, &gatewayv1.GetRequest{Bot: request.GetBot()})
	return err
}

func (p *getPeer) recv(wait time.Duration) (*message, error) {
	timer := time.AfterFunc(wait, p.cancel)
	defer timer.Stop()
	r, err := p.stream.Recv()
	switch {
	case err != nil && p.ctx.Err() != nil:
		return nil, native.ErrTimeout
	case err != nil:
		return nil, err
	case r.GetBot() != nil:
		return fromResponse(&gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Bot{Bot: r.GetBot()}})
	case r.GetDat() != nil:
		return fromResponse(&gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Dat{Dat: r.GetDat()}})
	default:
		return fromResponse(&gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Eot{Eot: r.GetEot()}})
	}
}

func (p *getPeer) close() {
	p.cancel()
	_ = p.conn.Close()
}

func (p *getPeer) leave() { p.close() }
