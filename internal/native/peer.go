//go:build cgo

package native

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	zmq "github.com/pebbe/zmq4/draft"

	"github.com/zioflow/gateway/broker/zio"
)

// Kind is a socket type that native ZIO peers use.
type Kind zmq.Type

// The kinds.
const (
	Client = Kind(zmq.CLIENT) // to a SERVER
	Dealer = Kind(zmq.DEALER) // to a ROUTER
)

func (k Kind) String() string { return zmq.Type(k).String() }

// connectTimeout is how long Send waits for a connection, the only thing it waits
// for. A gateway that refuses the peer gives it none.
const connectTimeout = 10 * time.Second

// Peer is one native socket. One goroutine uses it at a time.
type Peer struct {
	socket *zmq.Socket
	kind   Kind
}

// Dial connects a socket to the address, under an identity if one is given.
func Dial(kind Kind, address, identity string) (*Peer, error) {
	return dial(kind, address, identity, 0, nil) // credit bounds what arrives
}

// DialLimited is Dial for a socket that holds no more than n messages that were
// not received: a peer that can be made to stop reading.
func DialLimited(kind Kind, address string, n int) (*Peer, error) {
	return dial(kind, address, "", n, nil)
}

func dial(kind Kind, address, identity string, limit int, keys *CurveKeys) (_ *Peer, err error) {
	socket, err := zmq.NewSocket(zmq.Type(kind))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, socket.Close())
		}
	}()
	options := []error{
		socket.SetIpv6(true), socket.SetLinger(2 * time.Second),
		socket.SetSndhwm(0), socket.SetRcvhwm(limit), socket.SetSndtimeo(connectTimeout),
	}
	if identity != "" {
		options = append(options, socket.SetIdentity(identity))
	}
	if keys != nil {
		options = append(options, keys.apply(socket))
	}
	if err := errors.Join(options...); err != nil {
		return nil, err
	}
	return &Peer{socket: socket, kind: kind}, socket.Connect(address)
}

// Close lets what was sent go out for up to linger, and closes the socket.
func (p *Peer) Close(linger time.Duration) error {
	return errors.Join(p.socket.SetLinger(linger), p.socket.Close())
}

// Send sends one message.
func (p *Peer) Send(m *zio.Message) error {
	if p.kind == Client {
		return p.SendRaw(m.AppendEncoded(make([]byte, 0, m.EncodedSize())))
	}
	parts := [][]byte{nil, m.AppendPrefix(nil), m.AppendCoord(nil)}
	return p.SendRaw(append(parts, m.Payload...)...)
}

// SendRaw sends parts as they are; a CLIENT only one.
func (p *Peer) SendRaw(parts ...[]byte) error {
	for i, part := range parts {
		flags := zmq.SNDMORE
		if i == len(parts)-1 {
			flags = 0
		}
		if _, err := p.socket.SendBytes(part, flags); err != nil {
			if err = timedOut(err); errors.Is(err, ErrTimeout) {
				return fmt.Errorf("there is no connection, or the gateway has refused it: %w", err)
			}
			return err
		}
	}
	return nil
}

// Receive returns the next message, or ErrTimeout; 0 does not wait, a negative
// timeout waits for ever.
func (p *Peer) Receive(timeout time.Duration) (*zio.Message, error) {
	if err := p.socket.SetRcvtimeo(timeout); err != nil {
		return nil, err
	}
	m := new(zio.Message)
	if p.kind == Client {
		b, err := p.socket.RecvBytes(0)
		if err != nil {
			return nil, timedOut(err)
		}
		return m, m.Decode(b)
	}
	parts, err := p.socket.RecvMessageBytes(0)
	if err != nil {
		return nil, timedOut(err)
	}
	if len(parts) == 0 || len(parts[0]) != 0 {
		return nil, fmt.Errorf("%w: no delimiter", zio.ErrMalformed)
	}
	return m, m.DecodeParts(parts[1:])
}

func timedOut(err error) error {
	if zmq.AsErrno(err) == zmq.Errno(syscall.EAGAIN) {
		return ErrTimeout
	}
	return err
}
