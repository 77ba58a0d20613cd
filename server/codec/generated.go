package codec

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	"github.com/zioflow/gateway/server/grpcgo"
)

// generated is a message of the generated code that counts as queued until gRPC has
// written it: a BOT, whose payload may be large, or the response to a Put. Until then it
// holds the message that it was made of, whose bytes are charged to an account.
type generated struct {
	message any
	of      *borrowed
	last    grpcgo.Last
	taken   bool // encode has handed it over, to be counted when it has left
}

// encode is the message as the standard codec has it, and behind it an empty last
// buffer.
func (g *generated) encode(standard encoding.CodecV2) (mem.BufferSlice, error) {
	buffers, err := standard.Marshal(g.message)
	if err != nil {
		return nil, err
	}
	steps := &g.of.entry.progress.steps
	for i, b := range buffers {
		buffers[i] = &grpcgo.Stepping{Buffer: b, Steps: steps}
	}
	g.taken = true
	g.last.Fill(nil, steps, g)
	return append(buffers, &g.last), nil
}

// Written implements grpcgo.Watcher.
func (g *generated) Written() { g.of.entry.written() }

// Freed implements grpcgo.Watcher.
func (g *generated) Freed() { g.of.release() }
