package codec

import (
	"sync/atomic"

	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// Counter counts messages and bytes upwards. It may be used concurrently.
type Counter struct{ Messages, Bytes atomic.Int64 }

// Add counts one message of that many bytes.
func (c *Counter) Add(bytes int64) {
	c.Messages.Add(1)
	c.Bytes.Add(bytes)
}

// Progress is what has become of the messages to a stream. It is apart from the stream
// since it is kept by messages that gRPC has lost with a connection: nothing in it
// may lead to one. It may be used concurrently.
type Progress struct {
	// Left counts the messages that have left the gateway, or were dropped, and their
	// weight.
	Left Counter
	// DATs counts the DATs that gRPC has written, with their payload: the peer's windows
	// have room for them.
	DATs Counter
	// Changed is notified when a message has left.
	Changed Notifier

	steps atomic.Int64 // how often gRPC has written something of a message
}

// NewProgress returns the progress of a stream to which nothing was sent.
func NewProgress() *Progress { return &Progress{Changed: newNotifier()} }

// Moved changes whenever the stream takes something.
func (p *Progress) Moved() int64 { return p.Left.Messages.Load() + p.steps.Load() }

// Sent counts what a stream is given to send, and what of it has left: what is between them
// is queued in an outbox, or in gRPC, not written yet. A Link over gRPC embeds it: the
// counting methods of transport.Link are its. Make one with NewSent. It may be used
// concurrently.
type Sent struct {
	// Progress is to be given to the Writer.
	Progress *Progress

	delivered Counter // with their weight, as Progress.Left is
	emptied   atomic.Bool
}

// NewSent returns the counts of a stream that was given nothing to send.
func NewSent() Sent { return Sent{Progress: NewProgress()} }

// Add counts a message of that weight as queued.
func (s *Sent) Add(weight int64) { s.delivered.Add(weight) }

// Drop counts a message out that was added and will not be written.
func (s *Sent) Drop(weight int64) { s.Progress.Left.Add(weight) }

// Empty says that nothing is queued any more, whatever the counts are.
func (s *Sent) Empty() { s.emptied.Store(true) }

// Waiting is how many messages have not left.
func (s *Sent) Waiting() int64 {
	left := s.Progress.Left.Messages.Load() // first: the difference is never too small
	return s.delivered.Messages.Load() - left
}

// Queued implements transport.Link.
func (s *Sent) Queued() (messages, bytes int64) {
	if s.emptied.Load() {
		return 0, 0
	}
	left := s.Progress.Left.Bytes.Load() // first, as in Waiting
	return s.Waiting(), s.delivered.Bytes.Load() - left
}

// Moved implements transport.Mover.
func (s *Sent) Moved() uint64 { return uint64(s.Progress.Moved()) }

// Departed implements transport.Departed: a stream has one flow.
func (s *Sent) Departed() transport.Count {
	return transport.Count{Messages: uint64(s.Progress.DATs.Messages.Load()), Bytes: uint64(s.Progress.DATs.Bytes.Load())}
}

// entry is what one message counts for in a Progress.
type entry struct {
	progress *Progress
	weight   int64
	size     int64 // a DAT's payload; less than 0 for all other messages
}

func newEntry(d *transport.Delivery, p *Progress) entry {
	e := entry{progress: p, weight: d.Weight, size: d.Size}
	if d.Type != zio.DAT {
		e.size = -1
	}
	return e
}

// written counts the message as one that the peer is sent.
func (e *entry) written() {
	if e.size >= 0 {
		e.progress.DATs.Add(e.size)
	}
}

// left counts the message out.
func (e *entry) left() {
	e.progress.Left.Add(e.weight)
	e.progress.Changed.Notify()
}

// Notifier wakes the one goroutine that waits for something to change. To notify costs
// next to nothing while nobody listens. It may be used concurrently.
type Notifier struct {
	listening atomic.Bool
	token     chan struct{} // full after a notification
}

func newNotifier() Notifier { return Notifier{token: make(chan struct{}, 1)} }

// Listen returns a channel that receives after every notification from now on; several
// may be received as one. What is to be waited for must be looked at after Listen.
func (n *Notifier) Listen() <-chan struct{} {
	n.listening.Store(true)
	return n.token
}

// Notify wakes the goroutine that has called Listen, if there is one.
func (n *Notifier) Notify() {
	if !n.listening.Load() {
		return
	}
	select {
	case n.token <- struct{}{}:
	default:
	}
}
