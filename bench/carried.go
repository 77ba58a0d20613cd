package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/zioflow/gateway/cluster"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// carriedCommand measures flows that are carried between two nodes of a cluster beside those
// on one gateway.
type carriedCommand struct {
	Size   int           `default:"1048576" help:"Payload in bytes, at least 8."`
	Credit int           `default:"10" help:"How many messages may be under way."`
	Rounds int           `default:"7" help:"How often each takes its turn."`
	During time.Duration `default:"1s" help:"How long one turn takes, about."`
	Firsts int           `default:"300" help:"How many flows are opened for the time until their first DAT."`
	Clear  bool          `help:"The nodes have no keys, and speak in clear text."`
	TLS    bool          `name:"tls" help:"Clients and handlers speak TLS, with the gateway alone as well."`
	Delay  time.Duration `help:"How long all takes that goes from node to node, each way: for the first DAT alone."`
	gatewayChoice
}

// nodes are a gateway alone, and two of a cluster.
type nodes struct {
	*setUp
	alone, near, far *relay
	carried          *relay        // near with far's givers
	peer             string        // far's address for nodes
	between          *delayedRelay // nil where nothing is
	echo             *echo         // nil likewise
	keys             string        // a folder of keys; empty for clear text
	serves           []string      // flags by which gateways speak TLS with clients
}

// Run implements the command.
func (c *carriedCommand) Run() error {
	p, err := c.prepare()
	if err != nil {
		return err
	}
	figures, err := c.measure(p)
	if err != nil {
		return err
	}
	figures.print(c.Size)
	return nil
}

// carriedFigures are what came of it: rates of one round after the other, and times from a
// client's BOT to its first DAT, carried and not, with those of a call from node to node.
type carriedFigures struct {
	alone, carried    []float64
	cpuAlone, cpuBoth []float64 // of a message, in seconds; that of both nodes together
	local, far, trips []time.Duration
	bare              []time.Duration // round trips of the delay alone; none without one
}

func (c *carriedCommand) measure(p *programs) (f carriedFigures, err error) {
	n, err := c.start(p)
	if err != nil {
		return f, err
	}
	if c.Delay == 0 {
		err = c.rates(n, &f)
	}
	return f, errors.Join(err, c.firsts(n, &f), n.stop())
}

func (f *carriedFigures) print(size int) {
	if len(f.alone) > 0 {
		f.printRates(size)
	}
	if len(f.trips) == 0 {
		return
	}
	for _, q := range []float64{.5, .99} {
		a, b, t := quantile(f.local, q), quantile(f.far, q), quantile(f.trips, q)
		fmt.Printf("first DAT, p%g: carried %v, on one gateway %v, a call from node to node %v: %.2f calls more, %.2f times\n",
			100*q, b.Round(time.Microsecond), a.Round(time.Microsecond), t.Round(time.Microsecond), float64(b-a)/float64(t), float64(b)/float64(a))
		if len(f.bare) > 0 {
			r := quantile(f.bare, q)
			fmt.Printf("    a byte goes there and back in %v: %.2f round trips more\n", r.Round(time.Microsecond), float64(b-a)/float64(r))
		}
	}
}

func (f *carriedFigures) printRates(size int) {
	var ratio []float64
	for i := range f.alone {
		ratio = append(ratio, f.carried[i]/f.alone[i])
	}
	r, carried, alone := spreadOf(ratio), spreadOf(f.carried).median, spreadOf(f.alone).median
	fmt.Printf("grpc-grpc, %d bytes: carried %.0f/s (%.0f MB/s), on one gateway %.0f/s (%.0f MB/s), ratio %.2f (%.2f to %.2f)\n", size,
		carried, carried*float64(size)/1e6, alone, alone*float64(size)/1e6, r.median, r.low, r.high)
	cpu, both := spreadOf(f.cpuAlone), spreadOf(f.cpuBoth)
	fmt.Printf("CPU of a message: both nodes %.0f µs (%.0f to %.0f), one gateway %.0f µs (%.0f to %.0f)\n",
		both.median*1e6, both.low*1e6, both.high*1e6, cpu.median*1e6, cpu.low*1e6, cpu.high*1e6)
}

// start starts all three, and waits until the one node knows the other's listener.
func (c *carriedCommand) start(p *programs) (_ *nodes, err error) {
	n := &nodes{setUp: &setUp{programs: p}}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.stop())
		}
	}()
	if n.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return nil, err
	}
	if !c.Clear {
		n.keys = filepath.Join(n.dir, "keys")
		if err = command(".", p.gateway, "keygen", "cluster", n.keys, "near", "far", "bench"); err != nil {
			return nil, err
		}
	}
	if c.TLS {
		if n.serves, err = n.secureClients(); err != nil {
			return nil, err
		}
	}
	if n.alone, err = n.startGateway("alone", "", n.serves...); err != nil {
		return nil, err
	}
	route := ""
	if route, err = freeAddress(); err == nil {
		n.peer, err = freeAddress()
	}
	if err != nil {
		return nil, err
	}
	far, near, at := n.setUp, n.setUp, n.peer
	if c.Delay > 0 {
		if far, near, at, err = n.apart(c.Delay); err != nil {
			return nil, err
		}
	}
	if n.far, err = far.startGateway("far", "", n.flags("far", "--cluster-listen="+route, "--cluster-peer="+at)...); err != nil {
		return nil, err
	}
	if n.near, err = near.startUnheard("near", n.flags("near", "--cluster-listen=127.0.0.1:0", "--cluster-peer=127.0.0.1:0", "--cluster-join="+route)...); err != nil {
		return nil, err
	}
	n.carried = &relay{server: n.near.server, kind: "gateway", addresses: n.near.addresses, giversAt: n.far.addresses, desk: n.far.desk}
	return n, n.wait()
}

// apart puts a relay between the nodes. It returns how to start them, and far's address
// for near: a name, which is one address where far listens and another, the relay's, where
// near connects. Calls from here go by the relay as well.
func (n *nodes) apart(delay time.Duration) (far, near *setUp, address string, err error) {
	const host, other = "far.bench", "127.0.0.2"
	_, port, err := net.SplitHostPort(n.peer)
	if err != nil {
		return nil, nil, "", err
	}
	start := func(address string) *setUp {
		s, p := *n.setUp, *n.programs
		var wrong error
		p.gateway, wrong = knowing(p.gateway, n.dir, host, address)
		s.programs, err = &p, errors.Join(err, wrong)
		return &s
	}
	far, near = start("127.0.0.1"), start(other)
	if err != nil {
		return nil, nil, "", err
	}
	by := net.JoinHostPort(other, port)
	if n.between, err = delayBefore(n.peer, by, delay); err != nil {
		return nil, nil, "", err
	}
	if n.echo, err = newEcho(delay); err != nil {
		return nil, nil, "", err
	}
	n.peer = by
	return far, near, net.JoinHostPort(host, port), nil
}

// secureClients has whoever connects to a gateway from here on, load generators included, speak
// TLS, and returns the gateways' flags for it.
func (n *nodes) secureClients() ([]string, error) {
	dir := filepath.Join(n.dir, "tls")
	if err := command(".", n.programs.gateway, "keygen", "server", dir); err != nil {
		return nil, err
	}
	ca := filepath.Join(dir, "ca.pem")
	secure, err := credentials.NewClientTLSFromFile(ca, "")
	if err != nil {
		return nil, err
	}
	clientSecurity = secure
	return []string{"--tls-cert=" + filepath.Join(dir, "server.pem"), "--tls-key=" + filepath.Join(dir, "server.key")}, os.Setenv("GRPCLOAD_CA", ca)
}

// flags make a gateway a node.
func (n *nodes) flags(name string, more ...string) []string {
	all := slices.Concat([]string{"--cluster=bench", "--cluster-node=" + name}, n.serves, more)
	if n.keys == "" {
		return append(all, "--insecure=cluster")
	}
	return append(all, "--cluster-keys="+filepath.Join(n.keys, name))
}

// wait waits until the near node knows the far one's listener.
func (n *nodes) wait() error {
	conn, err := dial(n.near.addresses[viaGRPC])
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		status, err := gatewayv1.NewAdminServiceClient(conn).GetStatus(context.Background(), &gatewayv1.GetStatusRequest{})
		if err != nil {
			return err
		}
		for _, node := range status.GetCluster().GetNodes() {
			if node.GetName() == "far" && node.GetListeners() == 1 {
				return nil
			}
		}
	}
	return errors.New("the nodes do not find each other")
}

// stop stops all.
func (n *nodes) stop() error {
	var errs []error
	for _, r := range []*relay{n.near, n.far, n.alone} {
		if r != nil {
			if r.desk != nil {
				r.desk.close()
			}
			errs = append(errs, r.stop())
		}
	}
	if n.between != nil {
		errs = append(errs, n.between.stop())
	}
	if n.echo != nil {
		errs = append(errs, n.echo.stop())
	}
	return errors.Join(append(errs, os.RemoveAll(n.dir))...)
}

// rates compares how fast one flow is.
func (c *carriedCommand) rates(n *nodes, f *carriedFigures) error {
	via := like(viaGRPC)
	l := load{flows: 1, rounds: 1, size: c.Size, credit: c.Credit, count: max(least, min(20*c.Credit, sample/c.Size))}
	trial, err := n.run(n.alone, via, l, 0)
	if err != nil {
		return err
	}
	l.count = max(least, int(trial.rate*c.During.Seconds()))
	for range c.Rounds {
		a, err := n.run(n.alone, via, l, 0)
		if err != nil {
			return err
		}
		before, err := n.far.cpu()
		if err != nil {
			return err
		}
		b, err := n.run(n.carried, via, l, 0)
		if err != nil {
			return err
		}
		after, err := n.far.cpu()
		if err != nil {
			return err
		}
		f.cpuAlone = append(f.cpuAlone, a.perMessage(a.cpu.Seconds()))
		f.cpuBoth = append(f.cpuBoth, b.perMessage((b.cpu + after - before).Seconds()))
		f.alone, f.carried = append(f.alone, a.rate), append(f.carried, b.rate)
	}
	return nil
}

// firsts compares the time from a client's BOT to its first DAT, in turns with that of a
// round trip to the far node.
func (c *carriedCommand) firsts(n *nodes, f *carriedFigures) error {
	if c.Firsts == 0 {
		return nil
	}
	peer, err := n.dialPeer()
	if err != nil {
		return err
	}
	defer func() { _ = peer.Close() }()
	alone, carried := &opener{taker: n.alone, giver: n.alone}, &opener{taker: n.near, giver: n.far}
	for _, o := range []*opener{alone, carried} {
		if err := o.open(); err != nil {
			return err
		}
		defer o.close()
	}
	for i := range c.Firsts + c.Firsts/10 {
		a, err := alone.first()
		if err != nil {
			return err
		}
		b, err := carried.first()
		if err != nil {
			return err
		}
		since := time.Now()
		if _, err := gatewayv1.NewClusterServiceClient(peer).Ping(context.Background(), &gatewayv1.PingRequest{}); err != nil {
			return err
		}
		if i >= c.Firsts/10 { // what came before was to warm up
			f.local, f.far, f.trips = append(f.local, a), append(f.far, b), append(f.trips, time.Since(since))
			if n.echo != nil {
				bare, err := n.echo.roundTrip()
				if err != nil {
					return err
				}
				f.bare = append(f.bare, bare)
			}
		}
	}
	return nil
}

// dialPeer connects to the far node as nodes do.
func (n *nodes) dialPeer() (*grpc.ClientConn, error) {
	secure := insecure.NewCredentials()
	if n.keys != "" {
		files := cluster.KeyFiles(filepath.Join(n.keys, "bench"))
		pair, err := tls.LoadX509KeyPair(files[1], files[2])
		if err != nil {
			return nil, err
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(text)
		secure = credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, ServerName: cluster.CommonName, MinVersion: tls.VersionTLS13})
	}
	return grpc.NewClient(n.peer, grpc.WithTransportCredentials(secure))
}

// opener opens flows, with both of their sides here.
type opener struct {
	taker, giver *relay
	at, by       *grpc.ClientConn
	offers       gatewayv1.HandlerService_ListenClient
}

// open has it listen in the place of the desk.
func (o *opener) open() (err error) {
	if o.at, err = dial(o.taker.addresses[viaGRPC]); err != nil {
		return err
	}
	if o.by, err = dial(o.giver.addresses[viaGRPC]); err != nil {
		return err
	}
	if o.giver.desk != nil {
		o.giver.desk.close()
		o.giver.desk = nil
	}
	if o.offers, err = gatewayv1.NewHandlerServiceClient(o.by).Listen(context.Background(), &gatewayv1.ListenRequest{Name: "first"}); err == nil {
		_, err = o.offers.Recv() // listening
	}
	return err
}

func (o *opener) close() {
	for _, conn := range []*grpc.ClientConn{o.at, o.by} {
		_ = conn.Close()
	}
}

// first is the time from the client's BOT to its first DAT, on a flow of its own.
func (o *opener) first() (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := gatewayv1.NewFlowServiceClient(o.at).Open(ctx)
	if err != nil {
		return 0, err
	}
	given := make(chan error, 1)
	go func() { given <- o.give(ctx) }()
	since := time.Now()
	bot := &gatewayv1.Bot{Direction: gatewayv1.Direction_DIRECTION_INJECT, Credit: 1}
	if err := client.Send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Bot{Bot: bot}}); err != nil {
		return 0, err
	}
	if _, err := client.Recv(); err != nil { // the handler's BOT
		return 0, errors.Join(err, ctx.Err())
	}
	if err := client.Send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Pay{Pay: &gatewayv1.Pay{Credit: 1}}}); err != nil {
		return 0, err
	}
	answer, err := client.Recv()
	took := time.Since(since)
	switch {
	case err != nil:
		return 0, err
	case answer.GetDat() == nil:
		return 0, fmt.Errorf("%v came in the place of a DAT", answer)
	}
	if err := client.Send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Eot{Eot: &gatewayv1.Eot{}}}); err != nil {
		return 0, err
	}
	_, err = client.Recv()
	return took, errors.Join(err, <-given)
}

// give takes one offer, and gives a DAT.
func (o *opener) give(ctx context.Context) error {
	event, err := o.offers.Recv()
	if err != nil {
		return err
	}
	handler, err := gatewayv1.NewFlowServiceClient(o.by).Open(ctx)
	if err != nil {
		return err
	}
	for _, m := range []*gatewayv1.OpenRequest{
		{Message: &gatewayv1.OpenRequest_Bot{Bot: &gatewayv1.Bot{Cid: event.GetOffer().GetCid(), Direction: gatewayv1.Direction_DIRECTION_EXTRACT, Credit: 1}}},
		{Message: &gatewayv1.OpenRequest_Dat{Dat: &gatewayv1.Dat{Payload: [][]byte{[]byte("first")}}}},
		{Message: &gatewayv1.OpenRequest_Eot{Eot: &gatewayv1.Eot{}}},
	} {
		if m.GetBot() == nil { // the gateway's BOT, a PAY, and the client's EOT
			if _, err := handler.Recv(); err != nil {
				return err
			}
			if m.GetDat() != nil {
				if _, err := handler.Recv(); err != nil {
					return err
				}
			}
		}
		if err := handler.Send(m); err != nil {
			return err
		}
	}
	return nil
}

// clientSecurity is how clients connect to gateways.
var clientSecurity = insecure.NewCredentials()

func dial(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient(address, grpc.WithTransportCredentials(clientSecurity))
}

// freeAddress is one on this machine that nobody has bound just now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
