package server

import (
	"sync/atomic"

	"google.golang.org/grpc/mem"
)

// last is the last buffer of a message that is given to gRPC: since gRPC lets go of
// buffers in their order, it has done with the message when it lets go of this one.
// It implements mem.Buffer.
type last struct {
	mem.SliceBuffer
	refs  atomic.Int32
	begun bool // gRPC has asked for it; used by the goroutine that writes alone
	toll  *toll
	// left is called when nobody holds the buffer any more, and so none of the
	// message's.
	left interface{ left() }
}

// fill makes it the end of a message that counts for toll.
func (l *last) fill(b []byte, c *toll, left interface{ left() }) {
	l.SliceBuffer, l.toll, l.left, l.begun = b, c, left, false
	l.refs.Store(1)
}

// ReadOnlyData implements mem.Buffer. Once the message is gRPC's, it asks for a
// frame at a time, when the peer has room for that.
func (l *last) ReadOnlyData() []byte {
	if !l.begun {
		l.begun = true
		l.toll.written()
	}
	l.toll.tally.steps.Add(1)
	return l.SliceBuffer
}

// Ref implements mem.Buffer.
func (l *last) Ref() { l.refs.Add(1) }

// Free implements mem.Buffer.
func (l *last) Free() {
	if l.refs.Add(-1) == 0 {
		l.left.left()
	}
}

// piece is another buffer of a message. It needs no count of its holders: its memory
// is the message's.
type piece struct {
	mem.SliceBuffer
	steps *atomic.Int64
}

// ReadOnlyData implements mem.Buffer, as last's does.
func (p *piece) ReadOnlyData() []byte {
	p.steps.Add(1)
	return p.SliceBuffer
}

// paced is a buffer of gRPC's own, of which it counts as well how often some of it was
// written.
type paced struct {
	mem.Buffer
	steps *atomic.Int64
}

// ReadOnlyData implements mem.Buffer.
func (p *paced) ReadOnlyData() []byte {
	p.steps.Add(1)
	return p.Buffer.ReadOnlyData()
}
