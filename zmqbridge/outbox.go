package zmqbridge

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// outbox is what waits to be written to a connection. It implements transport.Link.
//
// Whoever delivers also writes: Flush writes what the socket takes, and leaves the
// rest to a goroutine that lives as long as there is any. One of them at a time
// holds the write lock (writing).
type outbox struct {
	ender     *ender
	describer func() transport.LinkInfo
	socket    *socket
	vitals    *vitals
	highWater int             // messages that may wait
	running   *sync.WaitGroup // of the endpoint's goroutines

	mu      sync.Mutex
	queue   []item // guarded by mu
	head    int    // guarded by mu; where the queue begins
	writing bool   // guarded by mu; somebody writes
	closed  bool   // guarded by mu; nothing is taken any more
	pong    []byte // guarded by mu; a frame that goes in front, at most one

	given transport.Count // guarded by mu; DATs that were put into the queue

	messages, bytes atomic.Int64  // not yet written whole, by weight
	dats, payload   atomic.Uint64 // DATs that were, and the bytes in them
	blocked         atomic.Bool   // the socket has not taken all that it was last to take
	waitingSince    atomic.Int64  // when the peer last took a byte, or the first that waits was refused; 0 while nothing waits

	write writer // used by whoever holds the write lock
}

// Deliver implements transport.Link.
func (o *outbox) Deliver(d transport.Delivery) error {
	err := o.push(item{message: d.Message, weight: d.Weight, data: d.Type == zio.DAT, size: d.Size}, d.Type)
	if err != nil {
		d.Message.Release()
	}
	return err
}

func (o *outbox) push(i item, t zio.Type) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closed:
		return transport.ErrGone
	case !transport.Fits(len(o.queue)-o.head, o.highWater, t):
		return transport.ErrOverrun
	}
	o.queue = append(o.queue, i)
	if i.data {
		o.given.Messages++
		o.given.Bytes += uint64(i.size)
	}
	o.messages.Add(1)
	o.bytes.Add(i.weight)
	return nil
}

// Queued implements transport.Link.
func (o *outbox) Queued() (messages, bytes int64) { return o.messages.Load(), o.bytes.Load() }

// Departed implements transport.Departed. While the socket takes what there is, nothing of it
// waits: it will have left before anybody can look, unless the connection is ending.
func (o *outbox) Departed() transport.Count {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed && !o.blocked.Load() && !o.ender.ending() {
		return o.given
	}
	return transport.Count{Messages: o.dats.Load(), Bytes: o.payload.Load()}
}

// Ended implements transport.Link; the connection may carry another flow.
func (o *outbox) Ended(flow.Reason, string) {}

// Disconnect implements transport.Disconnector.
func (o *outbox) Disconnect(detail string) { o.ender.cutFlow(causeAdmin, flow.EndedByAdmin, detail) }

// Moved implements transport.Mover.
func (o *outbox) Moved() uint64 {
	// Of a socket of this machine the system counts more than the bytes: the difference
	// may be below 0.
	return o.vitals.moved.Load() - uint64(o.socket.unsent())
}

// Describe implements transport.Describer.
func (o *outbox) Describe() transport.LinkInfo { return o.describer() }

// Flush implements transport.Link.
func (o *outbox) Flush() {
	if o.begin() {
		o.run(false)
	}
}

// FlushSoon implements transport.Gatherer.
func (o *outbox) FlushSoon() {
	if o.begin() {
		o.hand()
	}
}

// hand has the outbox's own goroutine go on, which may wait for the socket.
func (o *outbox) hand() {
	o.running.Add(1) // Go would allocate twice
	go o.drain()
}

// begin takes the write lock, if there is something to write and nobody holds it.
func (o *outbox) begin() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.writing || o.closed || o.head == len(o.queue) && o.pong == nil {
		return false
	}
	o.writing = true
	return true
}

// run writes until nothing is left or, unless it may wait, the socket is full. It
// holds the write lock, and passes it on or gives it up. A panic ends this connection, and not that
// of whoever writes to it.
func (o *outbox) run(wait bool) {
	defer o.contain()
	for rounds := 1; ; rounds++ {
		o.fill()
		if o.write.empty() {
			if o.end() {
				return
			}
			continue
		}
		n, err := o.write.write(o.socket, wait)
		left, all := o.write.advance(n)
		if o.blocked.Load() == all {
			o.blocked.Store(!all)
		}
		if n > 0 {
			o.vitals.wrote(n)
			if o.write.carries {
				o.vitals.moved.Add(uint64(n))
			}
			o.waitingSince.Store(0)
			if left.data.Messages > 0 {
				o.dats.Add(left.data.Messages)
				o.payload.Add(left.data.Bytes)
			}
			o.countLeft(left.messages, left.weight)
		}
		switch {
		case err != nil:
			o.fail()
			return
		case all && (wait || rounds < maxRounds):
			continue
		case !all:
			o.waitingSince.CompareAndSwap(0, time.Now().UnixNano())
		}
		if !wait {
			o.hand()
			return
		}
	}
}

// maxRounds is how often whoever delivers writes, while others deliver more or the peer
// sends PINGs, before the outbox's own goroutine goes on.
const maxRounds = 32

// drain holds the write lock, and waits for the socket.
func (o *outbox) drain() {
	defer o.running.Done()
	o.run(true)
}

// contain ends the connection if writing to it has panicked.
func (o *outbox) contain() {
	if problem := recover(); problem != nil {
		o.ender.panicked(problem)
		o.giveUp()
	}
}

// fail gives the connection up, whose socket takes nothing any more.
func (o *outbox) fail() {
	o.giveUp()
	o.ender.cut(causeGone, "connection closed")
}

// giveUp releases all there is and gives the write lock up, whatever happens.
func (o *outbox) giveUp() {
	defer o.ender.recover()
	defer o.end()
	defer o.close()
	o.countLeft(o.write.drop())
}

// countLeft counts messages that have left.
func (o *outbox) countLeft(messages, bytes int64) {
	o.messages.Add(-messages)
	o.bytes.Add(-bytes)
}

// end gives the write lock up, unless there is more to write.
func (o *outbox) end() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed && (o.head < len(o.queue) || o.pong != nil) {
		return false
	}
	o.writing = false
	o.waitingSince.Store(0)
	if o.head == len(o.queue) {
		o.ender.idle()
	}
	return true
}

// fill has the writer take what waits, if nothing is left of what it took before.
func (o *outbox) fill() {
	if !o.write.empty() {
		return
	}
	for o.write.recycle(); o.write.room(); {
		i, ok := o.next()
		if !ok {
			return
		}
		o.write.add(i)
	}
}

// next takes the oldest item out; false when there is none.
func (o *outbox) next() (i item, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pong != nil {
		i.raw, o.pong = o.pong, nil
		return i, true
	}
	if o.head == len(o.queue) || o.closed {
		return item{}, false
	}
	i, o.queue[o.head] = o.queue[o.head], item{}
	if o.head++; o.head == len(o.queue) {
		o.queue, o.head = o.queue[:0], 0
		if cap(o.queue) > keepQueue {
			o.queue = nil
		}
	} else if o.head >= keepQueue && 2*o.head >= len(o.queue) {
		o.queue, o.head = append(o.queue[:0], o.queue[o.head:]...), 0
	}
	return i, true
}

// keepQueue is for how many items an empty queue keeps room.
const keepQueue = 256

// answerPing puts a PONG in front, for Flush. One that waits already is replaced: of many
// PINGs that a peer does not wait for, the latest is answered.
func (o *outbox) answerPing(frame []byte) {
	o.mu.Lock()
	o.pong = frame
	o.mu.Unlock()
}

// ping sends a frame if nothing waits in front of it.
func (o *outbox) ping(frame []byte) bool {
	o.mu.Lock()
	if o.writing || o.closed || o.head < len(o.queue) {
		o.mu.Unlock()
		return false
	}
	o.queue = append(o.queue, item{raw: frame})
	o.mu.Unlock()
	o.Flush()
	return true
}

// empty tells whether nothing waits.
func (o *outbox) empty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.writing && o.head == len(o.queue)
}

// close releases what waits and refuses what comes after. What is being written is
// released by whoever writes it.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	waiting := o.queue[o.head:]
	o.queue, o.head, o.pong = nil, 0, nil
	o.mu.Unlock()
	for _, i := range waiting {
		if i.message != nil {
			i.message.Release()
			o.countLeft(1, i.weight)
		}
	}
}
