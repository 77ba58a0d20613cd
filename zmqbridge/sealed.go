package zmqbridge

import (
	"fmt"

	"github.com/zioflow/gateway/zmtp"
)

// sealed looks at an encrypted frame with its header of n bytes; false if more bytes
// are needed.
func (r *reader) sealed(h zmtp.Header, n int) (bool, error) {
	if h.More || h.Size < uint64(zmtp.Overhead) {
		return false, &protocolFault{causeProtocol, "a frame came that CURVE does not have"}
	}
	if done, err := r.tooMuchSealed(h, n); done || err != nil {
		return done, err
	}
	whole := n + int(h.Size)
	if r.scanned+whole <= r.to {
		body := r.slab.data[r.scanned+n : r.scanned+whole]
		r.scanned += whole
		r.from = r.scanned
		return true, r.open(r.slab, body)
	}
	if h.Size < ownFrom {
		return false, nil
	}
	c := &r.crypt
	c.need = int(h.Size)
	if err := r.growSealed(true); err != nil {
		return false, err
	}
	r.peer.Cork() // which waiting for room has ended
	c.have = copy(c.sealed.data, r.slab.data[r.scanned+n:r.to])
	r.releaseSlab()
	return true, nil
}

// tooMuchSealed is tooMuch for an encrypted frame. A DEALER's connection is closed,
// and a CLIENT's that has begun to send several frames: whether another one follows is
// known to who decrypts this one.
func (r *reader) tooMuchSealed(h zmtp.Header, n int) (bool, error) {
	several := !r.single || r.message != nil
	done, err := r.tooMuch(h, n)
	if done && err == nil && several {
		err = &protocolFault{causeTooLarge, "a message is too large, and encrypted: it cannot be passed over"}
	}
	return done, err
}

// wholeSealed opens a large frame that has come whole.
func (r *reader) wholeSealed() error {
	c := &r.crypt
	sealed, size := c.sealed, c.need
	c.sealed, c.have, c.need = nil, 0, 0
	defer sealed.release()
	return r.open(sealed, sealed.data[:size])
}

// open opens the frame whose body lies in that slab, where it lies. In front of what
// was in it is room for the header that it has without CURVE.
func (r *reader) open(memory *slab, body []byte) error {
	h, plain, err := r.session.OpenInPlace(body)
	if err != nil {
		return err
	}
	if h.Command {
		if len(plain) > maxCommand {
			return &protocolFault{causeProtocol, fmt.Sprintf("a command has %d bytes, %d are allowed", len(plain), maxCommand)}
		}
		return r.command(plain)
	}
	var room [zmtp.MaxHeader]byte
	header := zmtp.AppendHeader(room[:0], zmtp.Header{More: h.More, Size: uint64(len(plain))})
	start := len(body) - len(plain) - len(header)
	copy(body[start:], header)
	m := r.building()
	m.add(memory, body[start:])
	m.frames++
	r.frameDone(h.More)
	return nil
}
