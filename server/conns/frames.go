package conns

import (
	"encoding/binary"

	"golang.org/x/net/http2"
)

const (
	frameHead = 9   // bytes before a frame's body
	keptBody  = 512 // bytes of a body that are kept; gRPC's own words are shorter
)

// frames follows the frames that pass in one direction, without holding them up. It
// belongs to the goroutine that reads or writes.
type frames struct {
	skip  int // bytes before the first frame
	head  [frameHead]byte
	have  int    // bytes of head
	left  int    // bytes of the body that are to come
	body  []byte // the beginning of the body, if that is wanted
	wants func(http2.FrameType) bool
	// saw is called with each frame: body is nil unless it is wanted, and not to be kept.
	saw func(kind http2.FrameType, length int, body []byte)
}

// pass takes note of bytes that have passed.
func (f *frames) pass(b []byte) {
	n := min(f.skip, len(b))
	f.skip -= n
	for b = b[n:]; len(b) > 0; {
		if f.have < frameHead {
			n := copy(f.head[f.have:], b)
			f.have += n
			b = b[n:]
			if f.have < frameHead {
				return
			}
			f.left = int(binary.BigEndian.Uint32(f.head[:4]) >> 8)
			f.body = f.body[:0]
		}
		n := min(f.left, len(b))
		if room := keptBody - len(f.body); room > 0 && f.wants(f.kind()) {
			f.body = append(f.body, b[:min(n, room)]...)
		}
		b = b[n:]
		if f.left -= n; f.left == 0 {
			f.have = 0
			f.saw(f.kind(), int(binary.BigEndian.Uint32(f.head[:4])>>8), f.body)
		}
	}
}

func (f *frames) kind() http2.FrameType { return http2.FrameType(f.head[3]) }
