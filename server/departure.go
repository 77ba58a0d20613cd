package server

import (
	"runtime"
	"slices"
	"sync"

	"google.golang.org/grpc/mem"

	"github.com/zioflow/gateway/broker/zio"
)

// departure is a message that gRPC is writing: it lends the message's memory to
// gRPC and hears when that is done with it.
type departure struct {
	message *lent
	room    []byte          // for what is not lent
	tail    last            // the end of what is in it
	pieces  []piece         // all others
	buffers mem.BufferSlice // all of them
}

// lent is a message that a departure holds. It is apart from it because it
// outlives a departure that gRPC has lost: that happens to what is queued for a
// connection that breaks. So nothing in it may lead to the connection.
type lent struct {
	message *zio.Message
	toll    toll
}

// release gives the message back, if there is one, and counts it.
func (l *lent) release() {
	if l.message != nil {
		l.message.Release()
		l.message = nil
		l.toll.gone()
	}
}

var departures = sync.Pool{New: func() any {
	d := &departure{message: new(lent)}
	runtime.AddCleanup(d, (*lent).release, d.message)
	return d
}}

const (
	// shortPiece is the length below which a piece of payload is copied.
	shortPiece = 512
	// keepRoom is how much room may be kept for another message.
	keepRoom = 4 << 10
)

// depart encodes o's message, whose member's fields have that size, and takes the
// message over.
func depart(o *outgoing, member int) mem.BufferSlice {
	m := o.delivery.Message
	d := departures.Get().(*departure)
	*d.message = lent{message: m, toll: tollOf(&o.delivery, o.left)}
	rest := member + 32 // the member's head, and some
	for _, piece := range m.Payload {
		if len(piece) >= shortPiece {
			rest -= len(piece)
		}
	}
	if cap(d.room) < rest {
		d.room = make([]byte, 0, rest)
	}
	d.pieces = slices.Grow(d.pieces, 2*len(m.Payload)+1) // so that none moves
	b, from := o.appendHead(d.room, member), 0
	for i := range m.Parts() {
		part := m.Part(i)
		b = appendPartHead(b, part.Len())
		for _, piece := range part {
			if len(piece) < shortPiece {
				b = append(b, piece...)
				continue
			}
			if len(b) > from {
				d.add(b[from:len(b):len(b)])
				from = len(b)
			}
			d.add(piece)
		}
	}
	d.end(o.appendTail(b), from)
	return d.buffers
}

// add appends a buffer that is not the last.
func (d *departure) add(b []byte) {
	d.pieces = append(d.pieces, piece{b, &d.message.toll.tally.steps})
	d.buffers = append(d.buffers, &d.pieces[len(d.pieces)-1])
}

// end makes the room from there on the last buffer, which is never empty: gRPC would
// not ask for it, and what has begun to be written would not be known.
func (d *departure) end(room []byte, from int) {
	if len(room) == from { // nothing follows a piece of payload
		before := &d.pieces[len(d.pieces)-1].SliceBuffer
		n := len(*before) - 1
		room = append(room, (*before)[n])
		*before = (*before)[:n]
	}
	d.tail.fill(room[from:], &d.message.toll, d)
	d.buffers = append(d.buffers, &d.tail)
}

// left takes note that gRPC has done with all buffers.
func (d *departure) left() {
	d.message.release()
	d.tail.SliceBuffer = nil
	clear(d.pieces)
	clear(d.buffers)
	d.pieces, d.buffers = d.pieces[:0], d.buffers[:0]
	if cap(d.pieces) > keepPieces {
		d.pieces, d.buffers = nil, nil
	}
	if cap(d.room) > keepRoom {
		d.room = nil
	}
	departures.Put(d)
}
