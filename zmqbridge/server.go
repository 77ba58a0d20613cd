package zmqbridge

import (
	"encoding/binary"
	"errors"
	"strconv"
	"syscall"
	"unsafe"

	"github.com/zioflow/gateway/broker/zio"
)

// serverWire speaks with CLIENTs through a SERVER: single-part messages, and a
// number that libzmq gives to every connection.
type serverWire struct {
	socket *socket
	from   [4]byte
	frames [1]*frame
}

func (w *serverWire) transport() string { return "zmq-server" }

func (w *serverWire) receive() (from string, frames []*frame, err error) {
	f, err := receiveFrame(w.socket, dontWait)
	for err == nil && len(f.bytes) == 0 { // nothing that ZIO could mean, and nobody's
		f.close()
		f, err = receiveFrame(w.socket, dontWait)
	}
	if err != nil {
		return "", nil, err
	}
	binary.BigEndian.PutUint32(w.from[:], f.routingID)
	w.frames[0] = f
	return unsafe.String(&w.from[0], len(w.from)), w.frames[:], nil
}

func (w *serverWire) open(frames []*frame) (*zio.Message, error) { return openSingle(frames[0]) }

func (w *serverWire) wrap(m *zio.Message) (*parcel, error) { return wrapSingle(m) }

func (w *serverWire) send(to string, p *parcel, on *tally) (held bool, err error) {
	f := p.frames[0]
	if held = f.worthHolding(); held {
		err = f.sendHeld(w.socket, routingID(to), dontWait, on, p.payload)
	} else {
		err = f.send(w.socket, routingID(to), dontWait)
	}
	switch {
	case err == nil:
		p.recycle()
	case !errors.Is(err, syscall.EAGAIN):
		p.Release()
	}
	return held && err == nil, err
}

func (w *serverWire) identity(address string) string {
	return strconv.FormatUint(uint64(routingID(address)), 10)
}

func routingID(address string) uint32 {
	return uint32(address[0])<<24 | uint32(address[1])<<16 | uint32(address[2])<<8 | uint32(address[3])
}
