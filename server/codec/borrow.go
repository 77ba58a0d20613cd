package codec

import (
	"runtime"
	"slices"
	"sync"

	"google.golang.org/grpc/mem"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/server/grpcgo"
)

// outboundBuffers are the buffers of a large message that gRPC is writing. Its payload
// is not copied: gRPC borrows the message's memory, and the message is released when gRPC
// has freed the buffers.
type outboundBuffers struct {
	borrowed *borrowed
	copied   []byte         // what is not borrowed
	last     grpcgo.Last    // the end of copied
	pieces   []grpcgo.Piece // all other buffers
	buffers  mem.BufferSlice
}

// borrowed is the message whose memory gRPC borrows. It is apart from outboundBuffers
// because it outlives those that gRPC has lost: that happens to what is queued for a
// connection that breaks. So nothing in it may lead to the connection.
type borrowed struct {
	message *zio.Message
	entry   entry
}

// release gives the message back, if there is one, and counts it.
func (b *borrowed) release() {
	if b.message != nil {
		b.message.Release()
		b.message = nil
		b.entry.left()
	}
}

var outboundPool = sync.Pool{New: func() any {
	o := &outboundBuffers{borrowed: new(borrowed)}
	runtime.AddCleanup(o, (*borrowed).release, o.borrowed)
	return o
}}

const (
	// shortPiece is the length below which a piece of payload is copied.
	shortPiece = 512
	// keepCopied is how much memory for copies may be kept for another message.
	keepCopied = 4 << 10
)

// borrow encodes o's message, whose member's fields have that size, and takes the
// message over.
func borrow(o *outbound, member int) mem.BufferSlice {
	m := o.delivery.Message
	out := outboundPool.Get().(*outboundBuffers)
	*out.borrowed = borrowed{message: m, entry: newEntry(&o.delivery, o.progress)}
	rest := member + 32 // the member's head, and some
	for _, piece := range m.Payload {
		if len(piece) >= shortPiece {
			rest -= len(piece)
		}
	}
	if cap(out.copied) < rest {
		out.copied = make([]byte, 0, rest)
	}
	out.pieces = slices.Grow(out.pieces, 2*len(m.Payload)+1) // so that none moves
	b, from := o.appendHead(out.copied, member), 0
	for i := range m.Parts() {
		part := m.Part(i)
		b = appendPartHead(b, part.Len())
		for _, piece := range part {
			if len(piece) < shortPiece {
				b = append(b, piece...)
				continue
			}
			if len(b) > from {
				out.add(b[from:len(b):len(b)])
				from = len(b)
			}
			out.add(piece)
		}
	}
	out.end(o.appendTail(b), from)
	return out.buffers
}

// add appends a buffer that is not the last.
func (o *outboundBuffers) add(b []byte) {
	o.pieces = append(o.pieces, grpcgo.Piece{SliceBuffer: b, Steps: &o.borrowed.entry.progress.steps})
	o.buffers = append(o.buffers, &o.pieces[len(o.pieces)-1])
}

// end makes copied[from:] the last buffer, which is never empty: gRPC would not ask for
// it, and what has begun to be written would not be known.
func (o *outboundBuffers) end(copied []byte, from int) {
	if len(copied) == from { // nothing follows a piece of payload
		before := &o.pieces[len(o.pieces)-1].SliceBuffer
		n := len(*before) - 1
		copied = append(copied, (*before)[n])
		*before = (*before)[:n]
	}
	o.last.Fill(copied[from:], &o.borrowed.entry.progress.steps, o)
	o.buffers = append(o.buffers, &o.last)
}

// Written implements grpcgo.Watcher.
func (o *outboundBuffers) Written() { o.borrowed.entry.written() }

// Freed implements grpcgo.Watcher.
func (o *outboundBuffers) Freed() {
	o.borrowed.release()
	o.last.SliceBuffer = nil
	clear(o.pieces)
	clear(o.buffers)
	o.pieces, o.buffers = o.pieces[:0], o.buffers[:0]
	if cap(o.pieces) > keepPieces {
		o.pieces, o.buffers = nil, nil
	}
	if cap(o.copied) > keepCopied {
		o.copied = nil
	}
	outboundPool.Put(o)
}
