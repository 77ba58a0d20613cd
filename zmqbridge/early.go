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

// tell says what a large message is, by what has come of it: its first frame's body, and all
// from its beginning. It returns the message's label if that can be told to be no BOT's, an
// error if it is no ZIO message, and neither where the message is to be kept.
func tell(single bool, body, all []byte) (*zio.Message, error) {
	var prefix []byte
	var err error
	if single {
		prefix, err = firstPart(body)
	} else {
		prefix, err = secondFrame(all)
	}
	if err != nil || len(prefix) == 0 {
		return nil, err
	}
	m := zio.Message{}
	if err := m.DecodeParts([][]byte{prefix, make([]byte, 24)}); err != nil {
		return nil, err
	}
	if head, err := zio.Peek(m.Label); err != nil || head.Type == zio.BOT {
		return nil, nil //nolint:nilerr // what is wrong with the label is told of the whole message
	}
	return &m, nil
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
