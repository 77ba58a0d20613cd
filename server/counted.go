package server

import (
	"sync/atomic"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// farewell is a message that is the last one on its stream: when gRPC has written
// it, or lost it with the connection, nothing of the stream is left to wait for. It
// implements mem.BufferPool, as a departure does and for the same reason.
type farewell struct {
	message any // of the generated code
	left    *tally
	stall   *stall
	tail    []byte
}

// encode is the message as the standard codec has it, and behind it an empty
// buffer that is returned here.
func (f *farewell) encode(generated encoding.CodecV2) (mem.BufferSlice, error) {
	buffers, err := generated.Marshal(f.message)
	if err != nil {
		return nil, err
	}
	for i, b := range buffers {
		buffers[i] = &paced{b, &f.left.steps}
	}
	f.tail = make([]byte, 0, leastTail)
	return append(buffers, mem.NewBuffer(&f.tail, f)), nil
}

// Put implements mem.BufferPool.
func (f *farewell) Put(*[]byte) { f.stall.finish() }

// Get implements mem.BufferPool; nobody asks.
func (f *farewell) Get(size int) *[]byte {
	b := make([]byte, size)
	return &b
}

// paced is a buffer that counts how often gRPC has written some of it: a large one
// takes a while on a slow connection, which is not to stand still.
type paced struct {
	mem.Buffer
	steps *atomic.Int64
}

// ReadOnlyData implements mem.Buffer. Once the message is gRPC's, it asks for a
// frame at a time, when the peer has room for that.
func (p *paced) ReadOnlyData() []byte {
	p.steps.Add(1)
	return p.Buffer.ReadOnlyData()
}
