package server

import (
	"runtime"
	"slices"
	"sync"

	"google.golang.org/grpc/mem"

	"github.com/zioflow/gateway/broker/zio"
)

// departure is a message that gRPC is writing: it lends the message's memory to
// gRPC and hears when that is done with it. It implements mem.BufferPool, since
// that is how gRPC tells: the last of the buffers that it is given is returned to
// its pool, which is the departure.
type departure struct {
	message *lent
	room    []byte            // for what is not lent
	tail    []byte            // the end of what is in it: the last buffer
	slices  []mem.SliceBuffer // all others
	buffers mem.BufferSlice   // all of them
}

// lent is a message that a departure holds. It is apart from it because it
// outlives a departure that gRPC has lost: that happens to what is queued for a
// connection that breaks.
type lent struct {
	message *zio.Message
	left    *counter
	size    int64
}

// release gives the message back, if there is one, and counts it.
func (l *lent) release() {
	if l.message != nil {
		l.message.Release()
		l.left.add(l.size)
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
	*d.message = lent{m, o.left, int64(m.Size())}
	rest := member + 32 // the member's head, and some
	for _, piece := range m.Payload {
		if len(piece) >= shortPiece {
			rest -= len(piece)
		}
	}
	if need := rest + leastTail; cap(d.room) < need {
		d.room = make([]byte, 0, need)
	}
	d.slices = slices.Grow(d.slices, 2*len(m.Payload)+1) // so that none moves
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
	b = o.appendTail(b)
	d.tail = b[from:]
	d.buffers = append(d.buffers, mem.NewBuffer(&d.tail, d))
	return d.buffers
}

// add appends a buffer that is not counted.
func (d *departure) add(b []byte) {
	d.slices = append(d.slices, b)
	d.buffers = append(d.buffers, &d.slices[len(d.slices)-1])
}

// Put implements mem.BufferPool: gRPC has done with the last buffer, and so with
// all of them.
func (d *departure) Put(*[]byte) {
	d.message.release()
	d.tail = nil
	clear(d.slices)
	clear(d.buffers)
	d.slices, d.buffers = d.slices[:0], d.buffers[:0]
	if cap(d.slices) > keepPieces {
		d.slices, d.buffers = nil, nil
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
