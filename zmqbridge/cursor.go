package zmqbridge

import (
	"encoding/binary"

	"github.com/zioflow/gateway/zmtp"
)

// cursor reads bytes that lie in several runs.
type cursor struct {
	wire   []segment
	at     int  // in wire[0]
	broken bool // a length was cut off
}

// left is how many bytes there are, up to n.
func (c *cursor) left(n int) int {
	have := -c.at
	for _, s := range c.wire {
		if have += len(s.b); have >= n {
			return n
		}
	}
	return have
}

func (c *cursor) has(n int) bool { return c.left(n) == n }

// run is what lies in one piece from here on, up to n bytes.
func (c *cursor) run(n int) []byte {
	for len(c.wire) > 0 && c.at == len(c.wire[0].b) {
		c.wire, c.at = c.wire[1:], 0
	}
	if len(c.wire) == 0 {
		return nil
	}
	b := c.wire[0].b[c.at:]
	return b[:min(n, len(b)):min(n, len(b))]
}

// skip passes over n bytes, which must be there.
func (c *cursor) skip(n int) {
	for n > 0 {
		run := len(c.run(n))
		c.at += run
		n -= run
	}
}

// contiguous returns the next n bytes, which must be there; copied where they are
// not in one piece.
func (c *cursor) contiguous(n int) []byte {
	if b := c.run(n); len(b) == n {
		c.at += n
		return b
	}
	b := make([]byte, 0, n)
	for len(b) < n {
		run := c.run(n - len(b))
		b = append(b, run...)
		c.at += len(run)
	}
	return b
}

// pieces appends the next n bytes, which must be there, in the pieces in which
// they lie.
func (c *cursor) pieces(to [][]byte, n int) [][]byte {
	for n > 0 {
		run := c.run(n)
		to = append(to, run)
		c.at += len(run)
		n -= len(run)
	}
	return to
}

// peek copies up to len(b) of the next bytes.
func (c *cursor) peek(b []byte) []byte {
	ahead := *c
	n := ahead.left(len(b))
	for got := 0; got < n; {
		run := ahead.run(n - got)
		copy(b[got:], run)
		got += len(run)
		ahead.at += len(run)
	}
	return b[:n]
}

// header passes over a frame's header and returns it; false at the end.
func (c *cursor) header() (zmtp.Header, bool) {
	var room [zmtp.MaxHeader]byte
	h, n, err := zmtp.ParseHeader(c.peek(room[:]))
	if n == 0 || err != nil {
		return zmtp.Header{}, false
	}
	c.skip(n)
	return h, true
}

// nextFrame returns the size of the frame whose body comes next.
func (c *cursor) nextFrame() (size int, ok bool) {
	h, ok := c.header()
	return int(h.Size), ok
}

// nextPart returns the size of the part, of the single-part form, whose bytes come
// next.
func (c *cursor) nextPart() (size int, ok bool) {
	var room [5]byte
	b := c.peek(room[:])
	switch {
	case len(b) == 0:
		return 0, false
	case b[0] < 0xff:
		c.skip(1)
		return int(b[0]), true
	case len(b) < len(room):
		c.broken = true
		return 0, false
	}
	c.skip(len(room))
	return int(binary.BigEndian.Uint32(b[1:])), true
}
