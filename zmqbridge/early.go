package zmqbridge

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmtp"
)

// enoughToTell is how many bytes of a large frame have to be there before it is decided
// whether it is kept.
const enoughToTell = 64

// unwanted tells whether a large frame begins, or goes on, a message that the peer has no
// use for: it takes part in no flow, and this is no BOT, or no ZIO message at all. Such a
// message is answered as it always is, and not kept. It is decided by what lies in the
// slab; where that is too little to tell, the message is wanted.
func (r *reader) unwanted(body []byte) bool {
	if !r.conn.peer.Idle() || r.message != nil && len(r.message.wire) > 0 {
		return false
	}
	var prefix []byte
	var err error
	if r.conn.endpoint.single() {
		prefix, err = firstPart(body)
	} else {
		prefix, err = secondFrame(r.slab.data[r.from:r.to])
	}
	if err == nil && len(prefix) == 0 {
		return false
	}
	m := zio.Message{}
	if err == nil {
		err = m.DecodeParts([][]byte{prefix, make([]byte, 24)})
	}
	if err != nil {
		r.conn.peer.Malformed(err)
		return true
	}
	head, err := zio.Peek(m.Label)
	if err != nil || head.Type == zio.BOT {
		return false
	}
	r.conn.peer.Receive(&m)
	return true
}

// firstPart is the first part of a message of the single-part form, of which body is the
// beginning; nil if it has not come whole. Its magic is looked at in any case.
func firstPart(body []byte) ([]byte, error) {
	size, rest := uint64(body[0]), body[1:]
	if size == 0xff {
		size, rest = uint64(binary.BigEndian.Uint32(rest)), rest[4:]
	}
	if uint64(len(rest)) >= size {
		return rest[:size], nil
	}
	if !bytes.HasPrefix(rest, []byte("ZIO")) {
		return nil, fmt.Errorf("%w: prefix begins with %q, want %q", zio.ErrMalformed, rest[:3], "ZIO")
	}
	return nil, nil
}

// secondFrame is the body of the frame behind the delimiter, with which a DEALER's message
// begins; nil if it has not come whole, as where it is the large one.
func secondFrame(b []byte) ([]byte, error) {
	h, n, _ := zmtp.ParseHeader(b)
	if n == 0 || h.Command {
		return nil, nil
	}
	if h.Size > 0 {
		return nil, errDelimiter // MSG-9
	}
	b = b[n:]
	h, n, _ = zmtp.ParseHeader(b)
	if n == 0 || h.Command || uint64(len(b)-n) < h.Size {
		return nil, nil
	}
	return b[n : n+int(h.Size)], nil
}
