package zmqbridge

import (
	"sync"

	"github.com/zioflow/gateway/broker/budget"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmtp"
)

// writer turns items into runs of bytes and writes them, many with one call. It
// belongs to whoever holds its outbox's write lock.
type writer struct {
	single  bool // the peer takes messages of one part
	vitals  *vitals
	output  *budget.Account // these two are set before anything is delivered
	session *zmtp.Session   // nil without CURVE

	batch   *batch // nil while nothing is being written
	carries bool   // there are messages in the batch, or were in the last one
}

// batch is what is being written: some items, the runs that they consist of, and
// how far those have been written.
type batch struct {
	runList
	iovecs iovecs
	items  []pending
	done   int // of the items, how many have been written whole
	asked  int // of the last write

	inner inner // room for what is sealed
}

// pending is an item in the form in which the connection sends it.
type pending struct {
	item
	sealed *slab // memory of its own, if it has any
	end    int   // of the runs, the first after it
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// maxBatch is from how many bytes on a batch takes no further item: as much as a
// socket takes at once, and memory for sealing is taken.
const maxBatch = 512 << 10

func (w *writer) empty() bool { return w.batch == nil || w.batch.first == len(w.batch.runs) }

func (w *writer) recycle() {
	if w.batch != nil {
		w.batch.reset()
		batches.Put(w.batch)
		w.batch = nil
	}
}

// write writes what fits.
func (w *writer) write(s *socket, wait bool) (int, error) {
	b := w.batch
	b.iovecs.reset()
	b.asked = 0
	for _, r := range b.runs[b.first:] {
		if b.iovecs.full() {
			break
		}
		b.iovecs.add(r.b)
		b.asked += len(r.b)
	}
	return s.write(&b.iovecs, wait)
}

// sent is messages that have left, their weight, and the DATs among them.
type sent struct {
	messages, weight int64
	data             transport.Count
}

// advance takes note that n bytes were written, and returns the messages that have
// left by it, and whether that was all that the socket was to take.
func (w *writer) advance(n int) (left sent, all bool) {
	b := w.batch
	all = n == b.asked
	for n > 0 {
		r := &b.runs[b.first]
		taken := min(n, len(r.b))
		r.b, n = r.b[taken:], n-taken
		if len(r.b) == 0 {
			b.first++
		}
	}
	for ; b.done < len(b.items) && b.items[b.done].end <= b.first; b.done++ {
		p := &b.items[b.done]
		if p.message != nil {
			left.messages++
			left.weight += p.weight
		}
		if p.data {
			left.data.Messages++
			left.data.Bytes += uint64(p.size)
		}
		p.release()
	}
	return left, all
}

// drop releases what was not written, and returns the messages in it and their weight.
func (w *writer) drop() (messages, bytes int64) {
	b := w.batch
	if b == nil {
		return 0, 0
	}
	for ; b.done < len(b.items); b.done++ {
		p := &b.items[b.done]
		if p.message != nil {
			messages++
			bytes += p.weight
		}
		p.release()
	}
	w.recycle()
	return messages, bytes
}

func (p *pending) release() {
	if p.message != nil {
		p.message.Release()
	}
	if p.sealed != nil {
		p.sealed.release()
	}
	p.message, p.sealed, p.raw = nil, nil, nil
}

func (b *batch) reset() {
	b.iovecs.clear()
	clear(b.items)
	b.items, b.done = b.items[:0], 0
	b.runList.reset()
}

// room tells whether the batch takes a further item.
func (w *writer) room() bool {
	return w.batch == nil || w.batch.bytes < maxBatch && len(w.batch.runs) < maxRuns
}

// add adds an item in the form in which the connection sends it.
func (w *writer) add(i item) {
	if w.batch == nil {
		w.batch = batches.Get().(*batch)
	}
	w.carries = i.message != nil
	b := w.batch
	if i.data {
		w.vitals.sentData.Store(true)
	}
	b.items = append(b.items, pending{item: i}) // first, so that drop knows it in any case
	p := &b.items[len(b.items)-1]
	switch {
	case w.session != nil:
		p.sealed = b.inner.seal(&b.runList, w.session, i.raw, i.message, w.single)
	case i.raw != nil:
		b.addRun(i.raw)
	default:
		p.sealed = b.plain(i.message, w.single)
	}
	if p.sealed != nil {
		w.output.Add(int64(len(p.sealed.data)))
		p.sealed.account = w.output
	}
	p.end = len(b.runs)
}

// item is a message that waits.
type item struct {
	message *zio.Message
	weight  int64
	raw     []byte // a frame of the connection's own, instead of a message
	data    bool   // is a DAT
	size    int64  // of its payload
}
