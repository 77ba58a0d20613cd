//go:build cgo

package native

import (
	"errors"
	"fmt"
	"time"

	zmq "github.com/pebbe/zmq4/draft"

	"github.com/zioflow/gateway/broker/zio"
)

// Server is a native SERVER socket: a handler that is connected to. One goroutine uses it
// at a time.
type Server struct {
	// Address is where it is bound.
	Address string

	socket *zmq.Socket
}

// Listen binds a SERVER to an address, such as tcp://127.0.0.1:*. With keys of CURVE it
// lets everybody in who knows its public one.
func Listen(address, curveSecret string) (_ *Server, err error) {
	socket, err := zmq.NewSocket(zmq.SERVER)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, socket.Close())
		}
	}()
	options := []error{socket.SetLinger(2 * time.Second)}
	if curveSecret != "" {
		options = append(options, socket.SetCurveServer(1), socket.SetCurveSecretkey(curveSecret))
	}
	if err := errors.Join(append(options, socket.Bind(address))...); err != nil {
		return nil, err
	}
	bound, err := socket.GetLastEndpoint()
	return &Server{Address: bound, socket: socket}, err
}

// Receive returns the next message and whose it is; after the timeout ErrTimeout.
func (s *Server) Receive(timeout time.Duration) (from uint32, m *zio.Message, err error) {
	if err := s.socket.SetRcvtimeo(timeout); err != nil {
		return 0, nil, err
	}
	b, options, err := s.socket.RecvBytesWithOpts(0, zmq.OptRoutingId(0))
	if err != nil {
		return 0, nil, timedOut(err)
	}
	id, ok := options[0].(zmq.OptRoutingId)
	if !ok {
		return 0, nil, fmt.Errorf("a message has no routing id but %v", options)
	}
	m = new(zio.Message)
	return uint32(id), m, m.Decode(b)
}

// Send sends a message to whom Receive has named.
func (s *Server) Send(to uint32, m *zio.Message) error {
	_, err := s.socket.SendBytes(m.AppendEncoded(make([]byte, 0, m.EncodedSize())), 0, zmq.OptRoutingId(to))
	return err
}

// Close lets what was sent go out for up to linger, and unbinds.
func (s *Server) Close(linger time.Duration) error {
	return errors.Join(s.socket.SetLinger(linger), s.socket.Close())
}
