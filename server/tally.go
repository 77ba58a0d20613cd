package server

import (
	"sync/atomic"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/zio"
)

// counter counts messages and bytes upwards.
type counter struct{ messages, bytes atomic.Int64 }

func (c *counter) add(bytes int64) {
	c.messages.Add(1)
	c.bytes.Add(bytes)
}

// tally is what has become of the messages to a stream. It is apart from the stream
// since it is kept by messages that gRPC has lost with a connection: nothing in it
// may lead to one.
type tally struct {
	// The messages that have left the gateway, or were dropped, and their weight.
	counter
	// dats is the DATs that gRPC has written, with their payload: the peer's windows
	// have room for them.
	dats counter
	// steps counts how often gRPC has written something of a message.
	steps atomic.Int64
	bell  bell
}

func newTally() *tally { return &tally{bell: newBell()} }

// moved changes whenever the stream takes something.
func (t *tally) moved() int64 { return t.messages.Load() + t.steps.Load() }

// toll is what one message counts for in a tally.
type toll struct {
	tally  *tally
	weight int64
	size   int64 // a DAT's payload; less than 0 for all other messages
}

func tollOf(d *broker.Delivery, t *tally) toll {
	size := int64(d.Message.Size())
	c := toll{tally: t, weight: size + int64(d.Message.Burden()), size: size}
	if d.Type != zio.DAT {
		c.size = -1
	}
	return c
}

// written counts the message as one that the peer is sent.
func (c *toll) written() {
	if c.size >= 0 {
		c.tally.dats.add(c.size)
	}
}

// gone counts the message out.
func (c *toll) gone() {
	c.tally.add(c.weight)
	c.tally.bell.strike()
}

// bell wakes the one goroutine that waits for something to change. Striking it
// costs next to nothing while nobody listens. It may be used concurrently.
type bell struct {
	listening atomic.Bool
	ringing   chan struct{} // holds a token after a strike
}

func newBell() bell { return bell{ringing: make(chan struct{}, 1)} }

// listen has strikes from now on ring. What is to be waited for is looked at only
// after it.
func (b *bell) listen() { b.listening.Store(true) }

func (b *bell) strike() {
	if !b.listening.Load() {
		return
	}
	select {
	case b.ringing <- struct{}{}:
	default:
	}
}
