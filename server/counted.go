package server

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// counted is a message of the generated code that counts as queued until gRPC has
// written it: a BOT, whose payload may be large, or the answer to a Put. Until then it
// holds what it was made of, which is charged.
type counted struct {
	message any
	of      *lent
	end     last
	taken   bool // encode has handed it over, to be counted when it has left
}

// encode is the message as the standard codec has it, and behind it an empty last
// buffer.
func (c *counted) encode(generated encoding.CodecV2) (mem.BufferSlice, error) {
	buffers, err := generated.Marshal(c.message)
	if err != nil {
		return nil, err
	}
	for i, b := range buffers {
		buffers[i] = &paced{b, &c.of.toll.tally.steps}
	}
	c.taken = true
	c.end.fill(nil, &c.of.toll, c)
	return append(buffers, &c.end), nil
}

// left takes note that gRPC has done with all buffers.
func (c *counted) left() { c.of.release() }
