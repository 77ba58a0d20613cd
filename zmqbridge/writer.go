package zmqbridge

import (
	"sync"

	"github.com/zioflow/gateway/broker"
)

// writer turns items into runs of bytes and writes them, many with one call. It
// belongs to whoever holds its outbox's write lock.
type writer struct {
	batch   *batch // nil while nothing is being written
	carries bool   // there are messages in the batch, or were in the last one
}

// batch is what is being written: some items, the runs that they consist of, and
// how far those have been written.
type batch struct {
	iovecs iovecs
	items  []pending
	runs   []run
	first  int // of the runs, the first that is not written whole
	done   int // of the items, how many have been written whole
	bytes  int // in runs
	asked  int // of the last write

	inner inner // room for what is sealed
}

// pending is an item in the form in which the connection sends it.
type pending struct {
	item
	sealed *slab // memory of its own, if it has any
	end    int   // of the runs, the first after it
}

// run is bytes that lie one behind the other.
type run struct{ b []byte }

var batches = sync.Pool{New: func() any { return new(batch) }}

// maxBatch is from how many bytes on a batch takes no further item: as much as a
// socket takes at once, and memory for sealing is taken.
const maxBatch = 512 << 10

func (w *writer) empty() bool { return w.batch == nil || w.batch.first == len(w.batch.runs) }

// fill takes items from the outbox if nothing is left of those before.
func (w *writer) fill(o *outbox) {
	if !w.empty() {
		return
	}
	w.recycle()
	for w.batch == nil || w.batch.bytes < maxBatch && len(w.batch.runs) < maxRuns {
		i, ok := o.next()
		if !ok {
			return
		}
		if w.batch == nil {
			w.batch = batches.Get().(*batch)
		}
		w.carries = i.message != nil
		w.batch.add(o.conn, i)
	}
}

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
	data             broker.Count
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
	clear(b.runs)
	b.items, b.runs = b.items[:0], b.runs[:0]
	if cap(b.runs) > keepParts {
		b.runs = nil
	}
	b.first, b.done, b.bytes = 0, 0, 0
}

// add adds an item in the form in which the connection sends it.
func (b *batch) add(c *conn, i item) {
	if i.data {
		c.sentData.Store(true)
	}
	b.items = append(b.items, pending{item: i}) // first, so that drop knows it in any case
	p := &b.items[len(b.items)-1]
	switch {
	case c.session != nil:
		p.sealed = b.seal(c, i)
	case i.raw != nil:
		b.addRun(i.raw)
	default:
		p.sealed = b.plain(i.message, c.endpoint.single())
	}
	if p.sealed != nil {
		c.output.Add(int64(len(p.sealed.data)))
		p.sealed.account = c.output
	}
	p.end = len(b.runs)
}

// addRun adds bytes. What follows the bytes before it in memory becomes one run
// with them.
func (b *batch) addRun(bytes []byte) {
	if len(bytes) == 0 {
		return
	}
	b.bytes += len(bytes)
	if n := len(b.runs); n > b.first {
		if last := &b.runs[n-1]; follows(last.b, bytes) {
			// The item before ends where its bytes end: it is released with this one.
			last.b = last.b[:len(last.b)+len(bytes)]
			return
		}
	}
	b.runs = append(b.runs, run{bytes})
}
