package server

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"weak"

	"google.golang.org/grpc/mem"

	"github.com/zioflow/gateway/broker/zio"
)

// departure is a message that gRPC is writing: it lends the message's memory to
// gRPC and hears when that is done with it. It implements mem.BufferPool, since
// that is how gRPC tells: the last of the buffers that it is given is returned to
// its pool, which is the departure.
type departure struct {
	message *lent
	room    []byte          // for what is not lent
	tail    []byte          // the end of what is in it: the last buffer
	pieces  []piece         // all others
	buffers mem.BufferSlice // all of them
}

// lent is a message that a departure holds. It is apart from it because it
// outlives a departure that gRPC has lost: that happens to what is queued for a
// connection that breaks. So nothing in it may lead to the connection.
type lent struct {
	message *zio.Message
	left    *tally
	weight  int64
	// stall is the stream's whose last message it is; of any other, none. It is weak,
	// since a stream leads to its connection, and that to the departure.
	stall weak.Pointer[stall]
}

// release gives the message back, if there is one, and counts it.
func (l *lent) release() {
	if l.message != nil {
		l.message.Release()
		l.left.add(l.weight)
		if stall := l.stall.Value(); stall != nil {
			stall.finish()
		}
		*l = lent{}
	}
}

var departures = sync.Pool{New: func() any {
	d := &departure{message: new(lent)}
	runtime.AddCleanup(d, (*lent).release, d.message)
	return d
}}

// leastTail is the capacity from which on gRPC returns a buffer to its pool.
var leastTail = func() int {
	n := 1
	for mem.IsBelowBufferPoolingThreshold(n) {
		n++
	}
	return n
}()

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
	*d.message = lent{message: m, left: o.left, weight: int64(m.Weight())}
	if o.delivery.Type == zio.EOT {
		d.message.stall = weak.Make(o.stall)
	}
	var steps *atomic.Int64
	if d.message.weight >= slowWeight {
		steps = &o.left.steps
	}
	rest := member + 32 // the member's head, and some
	for _, piece := range m.Payload {
		if len(piece) >= shortPiece {
			rest -= len(piece)
		}
	}
	if need := rest + leastTail; cap(d.room) < need {
		d.room = make([]byte, 0, need)
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
				d.add(b[from:len(b):len(b)], steps)
				from = len(b)
			}
			d.add(piece, steps)
		}
	}
	b = o.appendTail(b)
	d.tail = b[from:]
	d.buffers = append(d.buffers, mem.NewBuffer(&d.tail, d))
	return d.buffers
}

// add appends a buffer that is not counted.
func (d *departure) add(b []byte, steps *atomic.Int64) {
	d.pieces = append(d.pieces, piece{b, steps})
	d.buffers = append(d.buffers, &d.pieces[len(d.pieces)-1])
}

// slowWeight is the weight from which on it counts as movement when a part of a
// message was written.
const slowWeight = 256 << 10

// piece is a buffer of a departure, paced as a farewell's are.
type piece struct {
	mem.SliceBuffer
	steps *atomic.Int64 // nil where the whole message is a step
}

// ReadOnlyData implements mem.Buffer.
func (p *piece) ReadOnlyData() []byte {
	if p.steps != nil {
		p.steps.Add(1)
	}
	return p.SliceBuffer
}

// Put implements mem.BufferPool: gRPC has done with the last buffer, and so with
// all of them.
func (d *departure) Put(*[]byte) {
	d.message.release()
	d.tail = nil
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

// Get implements mem.BufferPool; nobody asks.
func (d *departure) Get(size int) *[]byte {
	b := make([]byte, size)
	return &b
}
