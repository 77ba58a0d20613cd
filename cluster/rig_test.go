package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/zioflow/gateway/cluster"
	"github.com/zioflow/gateway/gateway"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/pki"
)

// patience is how long what must come may take.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		os.Exit(beGateway(text))
	}
	if port := os.Getenv(natsVariable); port != "" {
		os.Exit(beNATS(port))
	}
	goleak.VerifyTestMain(m)
}

// rig is gateways of one cluster, in this process.
type rig struct {
	t  *testing.T
	ca *pki.CA
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return &rig{t, authority(t)}
}

func authority(t *testing.T) *pki.CA {
	t.Helper()
	ca, err := pki.NewCA("test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// keys makes a folder of a node's keys.
func keys(t *testing.T, ca *pki.CA, name, common string, valid time.Duration) string {
	t.Helper()
	pair, err := ca.Peer(name, common, valid)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for file, text := range map[string][]byte{
		cluster.CACertificate: ca.Certificate, cluster.Certificate: pair.Certificate, cluster.Key: pair.Key,
	} {
		if err := os.WriteFile(filepath.Join(folder, file), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// node is one gateway.
type node struct {
	*gateway.Gateway
	t    *testing.T
	name string
	conn *grpc.ClientConn
	log  *logged
	once sync.Once
}

// logged is a log that can be read.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// config is a node's that gets in nobody's way.
func (r *rig) config(name string, join ...*node) gateway.Config {
	c := gateway.DefaultConfig()
	c.ZMQ.Servers, c.ZMQ.Routers = []string{"tcp://127.0.0.1:*"}, []string{"tcp://127.0.0.1:*"}
	c.GRPC.Addresses, c.HTTP.Address, c.Node.Name = []string{"127.0.0.1:0"}, "none", "none"
	c.Cluster.Name, c.Cluster.Node = "test", name
	c.Cluster.Listen, c.Cluster.Peer = "127.0.0.1:0", "127.0.0.1:0"
	c.Cluster.Keys = keys(r.t, r.ca, name, cluster.CommonName, time.Hour)
	for _, other := range join {
		c.Cluster.Join = append(c.Cluster.Join, other.Addresses().Cluster)
	}
	return c
}

func (r *rig) start(name string, join ...*node) *node {
	r.t.Helper()
	return r.run(r.config(name, join...))
}

func (r *rig) run(c gateway.Config) *node {
	r.t.Helper()
	n := &node{t: r.t, name: c.Cluster.Node, log: new(logged)}
	c.Log = slog.New(slog.NewTextHandler(n.log, nil))
	g, err := gateway.New(c)
	if err != nil {
		r.t.Fatal(err)
	}
	n.Gateway = g
	r.t.Cleanup(func() {
		n.stop()
		if r.t.Failed() {
			r.t.Logf("log of %s:\n%s", n.name, n.log)
		}
	})
	if n.conn, err = grpc.NewClient(g.Addresses().GRPC, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		r.t.Fatal(err)
	}
	return n
}

// stop stops the node as SIGTERM does.
func (n *node) stop() {
	n.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := n.Stop(ctx); err != nil {
			n.t.Error(err)
		}
		_ = n.conn.Close()
	})
}

// until waits until something is so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// knows waits until the node knows so many others, and as many listeners of them.
func (n *node) knows(nodes, listeners int) {
	n.t.Helper()
	until(n.t, fmt.Sprintf("%s knows %d others with %d listeners", n.name, nodes, listeners), func() bool {
		all, far := n.Status().Cluster.Nodes, 0
		for _, l := range n.Broker().Listeners() {
			if l.Peer.Node != "" {
				far++
			}
		}
		return len(all) == nodes && far == listeners
	})
}

// listen announces a listener at the node until the test's end, and returns its offers.
func (n *node) listen(request *gatewayv1.ListenRequest) *listening {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &listening{t: n.t, cancel: cancel, offers: make(chan *gatewayv1.Offer, 100), withdrawn: make(chan *gatewayv1.Withdrawn, 100)}
	stream, err := gatewayv1.NewHandlerServiceClient(n.conn).Listen(ctx, request)
	if err == nil {
		_, err = stream.Recv() // listening
	}
	if err != nil {
		n.t.Fatal(err)
	}
	l.done.Go(func() {
		for {
			event, err := stream.Recv()
			if err != nil {
				return
			}
			if offer := event.GetOffer(); offer != nil {
				l.offers <- offer
			} else {
				l.withdrawn <- event.GetWithdrawn()
			}
		}
	})
	n.t.Cleanup(l.leave)
	return l
}

// listening is a listener.
type listening struct {
	t         *testing.T
	cancel    context.CancelFunc
	done      sync.WaitGroup
	offers    chan *gatewayv1.Offer
	withdrawn chan *gatewayv1.Withdrawn
}

func (l *listening) leave() {
	l.cancel()
	l.done.Wait()
}

// next is its next offer.
func (l *listening) next() *gatewayv1.Offer {
	l.t.Helper()
	select {
	case o := <-l.offers:
		return o
	case <-time.After(patience):
		l.t.Fatal("no offer came")
		return nil
	}
}

// stream is one side of a flow over gRPC, message by message.
type stream struct {
	t *testing.T
	grpc.BidiStreamingClient[gatewayv1.OpenRequest, gatewayv1.OpenResponse]
	cancel context.CancelFunc
}

// open opens a flow at the node, or accepts one.
func (n *node) open(bot *gatewayv1.Bot) *stream {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience+time.Duration(trials(n.t))*span(n.t)*2)
	n.t.Cleanup(cancel)
	s, err := gatewayv1.NewFlowServiceClient(n.conn).Open(ctx)
	if err != nil {
		n.t.Fatal(err)
	}
	x := &stream{n.t, s, cancel}
	x.send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Bot{Bot: bot}})
	return x
}

func (s *stream) send(m *gatewayv1.OpenRequest) {
	s.t.Helper()
	if err := s.Send(m); err != nil && !errors.Is(err, io.EOF) {
		s.t.Fatal(err)
	}
}

func (s *stream) dat(text string) {
	s.t.Helper()
	s.send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Dat{Dat: &gatewayv1.Dat{Payload: [][]byte{[]byte(text)}}}})
}

func (s *stream) pay(n int64) {
	s.t.Helper()
	s.send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Pay{Pay: &gatewayv1.Pay{Credit: n}}})
}

func (s *stream) eot() {
	s.t.Helper()
	s.send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Eot{Eot: &gatewayv1.Eot{}}})
}

// next is the next message.
func (s *stream) next() *gatewayv1.OpenResponse {
	s.t.Helper()
	m, err := s.Recv()
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

// ends is the reason and the detail of the EOT that comes next, or after what else comes.
func (s *stream) ends() (gatewayv1.EndReason, string) {
	s.t.Helper()
	for {
		if eot := s.next().GetEot(); eot != nil {
			return eot.GetReason(), eot.GetDetail()
		}
	}
}
