//go:build cgo

package cluster_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"testing"

	zioflow "github.com/zioflow/gateway/clients/go"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/native"
)

// side is one side of a flow on any transport.
type side interface {
	put(payload []byte) error
	get() ([]byte, error) // io.EOF at the other side's EOT
	close() error
}

// overZMQ is a side on a native socket, which closes it.
type overZMQ struct {
	*native.Flow
	peer *native.Peer
}

func (s *overZMQ) put(payload []byte) error {
	return s.Put([]byte(`{"flow":"DAT","tensors":[]}`), [][]byte{payload, nil})
}

func (s *overZMQ) get() ([]byte, error) {
	m, err := s.Get()
	if err != nil {
		return nil, err
	}
	if string(m.Label) != `{"flow":"DAT","tensors":[]}` && string(m.Label) != `{"flow":"DAT"}` || m.Parts() < 1 {
		return nil, fmt.Errorf("got %s with %d parts", m.Label, m.Parts())
	}
	return m.Part(0).AppendTo(nil), nil
}

func (s *overZMQ) close() error { return errors.Join(s.Close(), s.peer.Close(patience)) }

// overGRPC is one on a stream.
type overGRPC struct {
	giver *zioflow.Giver
	taker *zioflow.Taker
}

func (s *overGRPC) put(payload []byte) error {
	return s.giver.Put(context.Background(), zioflow.Dat{Payload: [][]byte{payload, nil}})
}

func (s *overGRPC) get() ([]byte, error) {
	d, err := s.taker.Next(context.Background())
	if err != nil {
		return nil, err
	}
	return d.Payload[0], nil
}

func (s *overGRPC) close() error {
	if s.giver != nil {
		return s.giver.Close(context.Background())
	}
	return s.taker.Close(context.Background())
}

// begin opens a flow at the node on a transport, or accepts one with that cid, as giver or
// as taker.
func (n *node) begin(transport string, gives bool, cid uint64) (side, error) {
	if transport == "grpc" {
		g := zioflow.NewGateway(n.conn)
		open, accept := g.Take, g.Offer(cid).Take
		if gives {
			give, acceptGive := g.Give, g.Offer(cid).Give
			if cid != 0 {
				give = acceptGive
			}
			giver, err := give(context.Background(), zioflow.Bot{Credit: credit})
			return &overGRPC{giver: giver}, err
		}
		if cid != 0 {
			open = accept
		}
		taker, err := open(context.Background(), zioflow.Bot{Credit: credit})
		return &overGRPC{taker: taker}, err
	}
	kind, address := native.Client, n.Addresses().ZMQServer[0]
	if transport == "zmq-router" {
		kind, address = native.Dealer, n.Addresses().ZMQRouter[0]
	}
	p, err := native.Dial(kind, address, "")
	if err != nil {
		return nil, err
	}
	word, more := "inject", ""
	if gives {
		word = "extract"
	}
	if cid != 0 {
		more = fmt.Sprintf(`,"cid":%d`, cid)
	}
	f, err := native.Open(p, 1, fmt.Appendf(nil, `{"flow":"BOT","direction":%q,"credit":%d%s}`, word, credit, more), nil, patience)
	if err != nil {
		return nil, errors.Join(err, p.Close(0))
	}
	return &overZMQ{f, p}, nil
}

const credit = 4

// transports are those of both sides.
var transports = []string{"grpc", "zmq-server", "zmq-router"}

// TestTransports: between a client at one node and a handler at another everything arrives,
// once and in order, on all transports and in both directions.
func TestTransports(t *testing.T) {
	t.Parallel()
	a, b, l := pair(t, &gatewayv1.ListenRequest{Name: "raw"})
	allWays(t, func(t *testing.T, from, to string, gives bool) { crossing(t, a, b, l, from, to, gives) })
}

// TestTransportsElsewhere: it does where the handler shows the cid at a third node, be the
// offer one of the second node or of the client's own.
func TestTransportsElsewhere(t *testing.T) {
	t.Parallel()
	a, b, c, l := trio(t, &gatewayv1.ListenRequest{Name: "raw"})
	allWays(t, func(t *testing.T, from, to string, gives bool) {
		crossing(t, a, c, l, from, to, gives)
		crossing(t, b, c, l, from, to, gives)
	})
}

// allWays calls try for each pair of transports and both directions.
func allWays(t *testing.T, try func(t *testing.T, from, to string, gives bool)) {
	for _, from := range transports {
		for _, to := range transports {
			for _, gives := range []bool{true, false} {
				way := "gives"
				if !gives {
					way = "takes"
				}
				t.Run(fmt.Sprintf("client %s %s, handler %s", from, way, to), func(t *testing.T) {
					try(t, from, to, gives)
				})
			}
		}
	}
}

// crossing has one flow cross, with small and with large messages.
func crossing(t *testing.T, a, b *node, l *listening, from, to string, gives bool) {
	t.Helper()
	type begun struct {
		side
		err error
	}
	clients := make(chan begun, 1)
	go func() {
		c, err := a.begin(from, gives, 0)
		clients <- begun{c, err}
	}()
	handler, err := b.begin(to, !gives, l.next().GetCid())
	if err != nil {
		t.Fatal(err)
	}
	client := <-clients
	if client.err != nil {
		t.Fatal(client.err)
	}
	giver, taker := client.side, handler
	if !gives {
		giver, taker = handler, client.side
	}
	sent, got := sha256.New(), sha256.New()
	ended := make(chan error, 1)
	go func() {
		for i := range 40 {
			payload := bytes.Repeat([]byte{byte(i)}, 1+i*i*300)
			sent.Write(payload)
			if err := giver.put(payload); err != nil {
				ended <- err
				return
			}
		}
		ended <- giver.close()
	}()
	for {
		payload, err := taker.get()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got.Write(payload)
	}
	if err := errors.Join(taker.close(), <-ended); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
		t.Error("what was taken is not what was given")
	}
}
