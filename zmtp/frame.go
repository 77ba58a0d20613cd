package zmtp

import "encoding/binary"

// A frame (RFC 23): flags, size in one byte or in eight, body.
const (
	flagMore    = 0x01
	flagLong    = 0x02
	flagCommand = 0x04

	maxShort = 255
)

// MaxHeader is the size of the longest header.
const MaxHeader = 9

// Header is a frame's header.
type Header struct {
	More    bool   // another frame of the same message follows
	Command bool   // the body is a command
	Size    uint64 // the body's
}

// What is wrong with a header. They are values so that a flood of bad headers
// costs nothing.
var (
	errReserved    = protocolError("a frame has reserved flags set")
	errMoreCommand = protocolError("a command frame has MORE set")
	errHugeFrame   = protocolError("a frame's size is 2^63 or more")
)

// ParseHeader reads the header at the beginning of b. n is how long it is; n
// is 0 when more bytes are needed. An error is found as early as the bytes
// allow. Any size below 2^63 is legal here: the caller sets the limit.
func ParseHeader(b []byte) (h Header, n int, err error) {
	if len(b) == 0 {
		return Header{}, 0, nil
	}
	flags := b[0]
	if flags&^(flagMore|flagLong|flagCommand) != 0 {
		return Header{}, 0, errReserved
	}
	h.More, h.Command = flags&flagMore != 0, flags&flagCommand != 0
	if h.More && h.Command {
		return Header{}, 0, errMoreCommand
	}
	if flags&flagLong == 0 {
		if len(b) < 2 {
			return Header{}, 0, nil
		}
		h.Size = uint64(b[1])
		return h, 2, nil
	}
	if len(b) > 1 && b[1] >= 0x80 {
		return Header{}, 0, errHugeFrame
	}
	if len(b) < MaxHeader {
		return Header{}, 0, nil
	}
	h.Size = binary.BigEndian.Uint64(b[1:])
	return h, MaxHeader, nil
}

// AppendHeader appends h in its short form if the size allows it.
func AppendHeader(b []byte, h Header) []byte {
	var flags byte
	if h.More {
		flags |= flagMore
	}
	if h.Command {
		flags |= flagCommand
	}
	if h.Size <= maxShort {
		return append(b, flags, byte(h.Size))
	}
	return binary.BigEndian.AppendUint64(append(b, flags|flagLong), h.Size)
}
