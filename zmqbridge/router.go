package zmqbridge

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"github.com/zioflow/gateway/broker/zio"
)

// routerWire speaks with DEALERs through a ROUTER: multi-part messages with a
// delimiter, and an identity in front that the peer may have chosen.
type routerWire struct {
	socket *socket
	sender []byte
	frames []*frame // room for the parts of one message
}

func newRouterWire(s *socket) (*routerWire, error) {
	// Without it what is sent to a peer that has gone vanishes.
	if err := s.SetRouterMandatory(1); err != nil {
		return nil, fmt.Errorf("socket option ROUTER_MANDATORY: %w", err)
	}
	return &routerWire{socket: s}, nil
}

func (w *routerWire) transport() string { return "zmq-router" }

func (w *routerWire) receive() (from string, frames []*frame, err error) {
	w.frames = w.frames[:0]
	for more := true; more; {
		f, err := receiveFrame(w.socket, dontWait)
		if err != nil {
			closeAll(w.frames)
			return "", nil, err
		}
		more = f.more
		w.frames = append(w.frames, f)
	}
	w.sender = append(w.sender[:0], w.frames[0].bytes...)
	w.frames[0].close()
	return unsafe.String(unsafe.SliceData(w.sender), len(w.sender)), w.frames[1:], nil
}

var errDelimiter = errors.New("malformed message: an empty part must come first")

// open takes the delimiter off (MSG-9).
func (w *routerWire) open(frames []*frame) (*zio.Message, error) {
	if len(frames) == 0 || len(frames[0].bytes) != 0 {
		closeAll(frames)
		return nil, errDelimiter
	}
	frames[0].close()
	return openParts(frames[1:])
}

func (w *routerWire) wrap(m *zio.Message) (*parcel, error) { return wrapParts(m) }

func (w *routerWire) send(to string, p *parcel, on *tally) (held bool, err error) {
	if err = w.sendCopy(to); err == nil {
		err = w.sendCopy("") // MSG-9
	}
	if err != nil {
		if !errors.Is(err, syscall.EAGAIN) {
			p.Release()
		}
		return false, err
	}
	// libzmq has room for the message, so takes all its parts.
	for i, f := range p.frames {
		more := sendMore
		if i == len(p.frames)-1 {
			more = 0
		}
		if !held && f.worthHolding() {
			err = f.sendHeld(w.socket, 0, more|dontWait, on, p.payload)
			held = err == nil // one part stands for the message
		} else {
			err = f.send(w.socket, 0, more|dontWait)
		}
		if err != nil {
			p.frames = p.frames[i:]
			p.Release()
			return held, err
		}
	}
	p.recycle()
	return held, nil
}

// sendCopy sends a part that more parts follow.
func (w *routerWire) sendCopy(part string) error {
	f, err := newFrame(len(part))
	if err != nil {
		return err
	}
	copy(f.bytes, part)
	if err := f.send(w.socket, 0, sendMore|dontWait); err != nil {
		f.close()
		return err
	}
	return nil
}

// identity is in hex unless it is readable: those that libzmq makes begin with a
// zero byte.
func (w *routerWire) identity(address string) string {
	for _, c := range []byte(address) {
		if c < ' ' || c > '~' {
			return fmt.Sprintf("%x", address)
		}
	}
	return address
}
