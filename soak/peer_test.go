//go:build soak

package soak

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	zmq "github.com/pebbe/zmq4/draft"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/native"
)

// transport is a way to the gateway.
type transport string

const (
	viaClient transport = "CLIENT"
	viaDealer transport = "DEALER"
	viaGRPC   transport = "gRPC"
)

var transports = []transport{viaClient, viaDealer, viaGRPC}

// peer is one side of a flow, message by message. One goroutine uses it at a
// time.
type peer interface {
	send(*zio.Message) error
	// recv answers the next message, or native.ErrTimeout.
	recv(wait time.Duration) (*message, error)
	// close breaks off at once: what was not written is lost.
	close()
	// leave lets what was sent go out, and closes; for a process that exits.
	leave()
}

// message is a message that a peer has received.
type message struct {
	*zio.Message
	Type   zio.Type
	Credit int64
	end    native.EndError // an EOT's
}

func newMessage(m *zio.Message) (*message, error) {
	head, err := zio.Peek(m.Label)
	if err != nil {
		return nil, fmt.Errorf("received label %q: %w", m.Label, err)
	}
	in := &message{Message: m, Type: head.Type, Credit: head.Credit.Value}
	if in.Type == zio.EOT {
		label := struct{ Error, Detail *string }{&in.end.Reason, &in.end.Detail}
		err = json.Unmarshal(m.Label, &label)
	}
	return in, err
}

// over is the error that an EOT stands for.
func (m *message) over() error {
	if m.end.Reason == "" {
		return io.EOF
	}
	return &m.end
}

func dial(via transport, address string) (peer, error) {
	switch via {
	case viaClient:
		return dialNative(native.Client, address, "")
	case viaDealer:
		return dialNative(native.Dealer, address, "")
	default:
		return dialGRPC(address)
	}
}

// nativePeer is a peer on a CLIENT or DEALER socket.
type nativePeer struct {
	*native.Peer
	closed bool
}

func dialNative(kind native.Kind, address, identity string) (*nativePeer, error) {
	p, err := native.Dial(kind, address, identity)
	return &nativePeer{Peer: p}, err
}

func (p *nativePeer) send(m *zio.Message) error { return p.Send(m) }

func (p *nativePeer) recv(wait time.Duration) (*message, error) {
	m, err := p.Receive(wait)
	if err != nil {
		return nil, err
	}
	return newMessage(m)
}

func (p *nativePeer) close() {
	if !p.closed {
		p.closed = true
		_ = p.Close(0)
	}
}

// leave waits until libzmq has written: a process that exits takes along what
// lingers. It is the last thing that a process does with libzmq.
func (p *nativePeer) leave() {
	_ = p.Close(2 * time.Second)
	_ = zmq.Term()
}

// isTimeout tells whether nothing came.
func isTimeout(err error) bool { return errors.Is(err, native.ErrTimeout) }

// flowMessage is a message of form FLOW.
func flowMessage(label string, payload ...[]byte) *zio.Message {
	return &zio.Message{
		Form: zio.FormFlow, Label: []byte(label), Payload: payload,
		Coord: zio.Coord{Granule: uint64(time.Now().UnixMicro())},
	}
}

// botMessage is a BOT with further attributes: JSON members, each with a comma
// before it. A cid of 0 is left out.
func botMessage(d zio.Direction, credit int64, cid uint64, attributes string) *zio.Message {
	label := fmt.Sprintf(`{"flow":"BOT","direction":"%v","credit":%d`, d, credit)
	if cid != 0 {
		label += fmt.Sprintf(`,"cid":%d`, cid)
	}
	return flowMessage(label + attributes + "}")
}

func payMessage(credit int64) *zio.Message {
	return flowMessage(fmt.Sprintf(`{"flow":"PAY","credit":%d}`, credit))
}

func datMessage(payload ...[]byte) *zio.Message { return flowMessage(`{"flow":"DAT"}`, payload...) }

func eotMessage() *zio.Message { return flowMessage(`{"flow":"EOT"}`) }
