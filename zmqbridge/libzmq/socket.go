//go:build cgo && libzmq

package libzmq

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	zmq "github.com/pebbe/zmq4/draft"
)

// pollInterval is how often an endpoint's owner looks up from its socket.
const pollInterval = 100 * time.Millisecond

// retryInterval is the same while there is something that a peer would not take.
const retryInterval = 10 * time.Millisecond

// socket is a libzmq socket: made and bound through the binding, read and
// written by a wire.
type socket struct {
	*zmq.Socket
	handle unsafe.Pointer
	kind   zmq.Type // SERVER or ROUTER
}

func newSocket(ctx *zmq.Context, kind zmq.Type, o Options) (*socket, error) {
	inner, err := ctx.NewSocket(kind)
	if err != nil {
		return nil, err
	}
	handle, err := handleOf(inner)
	if err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	s := &socket{Socket: inner, handle: handle, kind: kind}
	if err := s.configure(o); err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	return s, nil
}

// front is the name of the socket's transport that operators see.
func (s *socket) front() string {
	if s.kind == zmq.SERVER {
		return "zmq-server"
	}
	return "zmq-router"
}

func (s *socket) configure(o Options) error {
	for _, set := range []struct {
		option string
		err    error
	}{
		{"LINGER", s.SetLinger(o.Linger)},
		{"SNDHWM", s.SetSndhwm(o.HighWater)},
		{"RCVHWM", s.SetRcvhwm(o.HighWater)},
		// Beyond this the connection is cut, so the broker's own limit, which
		// ends the flow with a reason, has to come first.
		{"MAXMSGSIZE", s.SetMaxmsgsize(int64(o.MaxMessage) + headRoom)},
		{"HANDSHAKE_IVL", s.SetHandshakeIvl(o.Handshake)},
		{"HEARTBEAT_IVL", s.SetHeartbeatIvl(o.Heartbeat)},
		{"HEARTBEAT_TIMEOUT", s.SetHeartbeatTimeout(o.HeartbeatTimeout)},
		{"DISCONNECT_MSG", s.SetDisconnectMsg(o.disconnectToken)},
	} {
		if set.err != nil {
			return fmt.Errorf("socket option %s: %w", set.option, set.err)
		}
	}
	if s.kind == zmq.ROUTER {
		// Without it what is sent to a peer that has gone vanishes.
		if err := s.SetRouterMandatory(1); err != nil {
			return fmt.Errorf("socket option ROUTER_MANDATORY: %w", err)
		}
	}
	return nil
}

// headRoom is how much longer than its payload a message may be: its label and
// the lengths of its parts.
const headRoom = 1 << 20
