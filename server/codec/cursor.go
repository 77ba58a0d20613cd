package codec

import (
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// cursor reads a message's bytes in the buffers in which they lie.
type cursor struct {
	rest  mem.BufferSlice // after the present piece
	piece []byte          // what is unread of it
	left  int             // what is unread in all
}

func newCursor(data mem.BufferSlice) cursor { return cursor{rest: data, left: data.Len()} }

// take returns the next bytes, as many of n as lie together; none if there are
// no more.
func (c *cursor) take(n int) []byte {
	for len(c.piece) == 0 {
		if len(c.rest) == 0 {
			return nil
		}
		c.piece, c.rest = c.rest[0].ReadOnlyData(), c.rest[1:]
	}
	n = min(n, len(c.piece))
	taken := c.piece[:n:n]
	c.piece = c.piece[n:]
	c.left -= n
	return taken
}

// varint returns the next varint; false if there is none, or none that fits.
func (c *cursor) varint() (uint64, bool) {
	if len(c.piece) > 0 && c.piece[0] < 0x80 {
		v := c.piece[0]
		c.piece = c.piece[1:]
		c.left--
		return uint64(v), true
	}
	if v, n := protowire.ConsumeVarint(c.piece); n > 0 {
		c.piece = c.piece[n:]
		c.left -= n
		return v, true
	}
	var together [10]byte // it may lie across two pieces
	for i := range together {
		b := c.take(1)
		if b == nil {
			return 0, false
		}
		if together[i] = b[0]; b[0] < 0x80 {
			v, n := protowire.ConsumeVarint(together[:i+1])
			return v, n > 0
		}
	}
	return 0, false
}

// size returns the length of what follows; false if less than that follows.
func (c *cursor) size() (int, bool) {
	n, ok := c.varint()
	return int(n), ok && n <= uint64(c.left)
}

// bytes returns the next n bytes, of which there must be so many, in one piece:
// copied, if they do not lie together.
func (c *cursor) bytes(n int) []byte {
	b := c.take(n)
	if len(b) == n {
		return b
	}
	whole := append(make([]byte, 0, n), b...)
	for len(whole) < n {
		whole = append(whole, c.take(n-len(whole))...)
	}
	return whole
}

// skip passes over the next n bytes, of which there must be so many.
func (c *cursor) skip(n int) {
	for n > 0 {
		n -= len(c.take(n))
	}
}

// pieces appends to list the next n bytes, of which there must be so many, as they
// lie: at least one slice.
func (c *cursor) pieces(list [][]byte, n int) [][]byte {
	if n == 0 {
		return append(list, nil)
	}
	for n > 0 {
		piece := c.take(n)
		n -= len(piece)
		list = append(list, piece)
	}
	return list
}
