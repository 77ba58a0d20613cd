package main_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/conformance/play"
	"github.com/zioflow/gateway/internal/native"
)

// transport is a way to the gateway.
type transportName string

const (
	viaClient transportName = "CLIENT"
	viaDealer transportName = "DEALER"
	viaGRPC   transportName = "gRPC"
	// viaNothing is how a built-in handler is reached; nobody can use it.
	viaNothing transportName = "builtin"
)

// transports are those that can be used.
var transports = []transportName{viaClient, viaDealer, viaGRPC}

// name is how the gateway calls the transport's peers.
func (v transportName) name() string {
	switch v {
	case viaClient:
		return "zmq-server"
	case viaDealer:
		return "zmq-router"
	case viaGRPC:
		return "grpc"
	default:
		return string(v)
	}
}

// seqno is that of the n-th message, from 0, that a peer of the tests sends.
// The gateway numbers what a gRPC peer sends. What natives send keeps its
// number, so theirs are such as no gateway would give.
func (v transportName) seqno(n uint64) uint64 {
	if v == viaClient || v == viaDealer {
		return n * 37
	}
	return n
}

// peer is one side of a flow, driven message by message, alike on every
// transport. One goroutine uses it at a time.
type peer interface {
	// send sends a message. A BOT begins a flow; a gRPC peer ignores the seqno.
	send(*zio.Message) error
	// recv answers the next message.
	recv() (*message, error)
	// finish checks that nothing follows a flow's last message: a gRPC peer's
	// stream ends, with OK if the flow completed.
	finish(completed bool) error
	// leave breaks the connection off: what a killed process would do.
	leave()
}

// message is a message that a peer has received.
type message = play.Message

func newMessage(m *zio.Message) (*message, error) { return play.NewMessage(m) }

// dial attaches a peer that leaves at the test's end.
func (g *inProcess) dial(t *testing.T, via transportName) peer {
	t.Helper()
	p, err := dial(via, g.addresses[via])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.leave)
	return p
}

func dial(via transportName, address string) (peer, error) {
	switch via {
	case viaClient:
		return dialNative(native.Client, address)
	case viaDealer:
		return dialNative(native.Dealer, address)
	default:
		return dialGRPC(address)
	}
}

// nativePeer is a peer on a CLIENT or DEALER socket.
type nativePeer struct {
	*native.Peer
	left bool
}

func dialNative(kind native.Kind, address string) (*nativePeer, error) {
	p, err := native.Dial(kind, address, "")
	return &nativePeer{Peer: p}, err
}

func (p *nativePeer) send(m *zio.Message) error { return p.Send(m) }

func (p *nativePeer) recv() (*message, error) {
	m, err := p.Receive(patience)
	if err != nil {
		return nil, err
	}
	return newMessage(m)
}

func (p *nativePeer) finish(bool) error {
	// What would follow came in the same burst; later it would disturb the
	// next flow on this socket.
	m, err := p.Receive(0)
	if errors.Is(err, native.ErrTimeout) {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("after the last message came %s", m.Label)
	}
	return err
}

func (p *nativePeer) leave() {
	if !p.left {
		p.left = true
		_ = p.Close(0)
	}
}

// flowMessage is a message of form FLOW.
func flowMessage(label string, payload ...[]byte) *zio.Message {
	return &zio.Message{
		Form: zio.FormFlow, Label: []byte(label), Payload: payload,
		Coord: zio.Coord{Granule: uint64(time.Now().UnixMicro())},
	}
}

func payMessage(credit int64) *zio.Message {
	return flowMessage(fmt.Sprintf(`{"flow":"PAY","credit":%d}`, credit))
}

func datMessage(payload ...[]byte) *zio.Message { return flowMessage(`{"flow":"DAT"}`, payload...) }

func eotMessage() *zio.Message { return flowMessage(`{"flow":"EOT"}`) }

// botMessage is a BOT with that direction and credit, and with a cid unless
// that is 0.
func botMessage(direction zio.Direction, credit int64, cid uint64) *zio.Message {
	label, err := zio.RewriteBot([]byte(`{"flow":"BOT"}`), direction, credit, cid)
	if err != nil {
		panic(err) // a mistake in the line above
	}
	return flowMessage(string(label))
}

// must ends the test unless the peer sends.
func mustSend(t *testing.T, p peer, m *zio.Message) {
	t.Helper()
	if err := p.send(m); err != nil {
		t.Fatalf("sending %s: %v", m.Label, err)
	}
}

// mustRecv receives a message of that type.
func mustRecv(t *testing.T, p peer, want zio.Type) *message {
	t.Helper()
	m, err := p.recv()
	if err != nil {
		t.Fatalf("waiting for %v: %v", want, err)
	}
	if m.Type != want {
		t.Fatalf("received %s, want %v", m.Label, want)
	}
	return m
}
