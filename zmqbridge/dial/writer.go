package dial

import (
	"net"
	"time"

	"github.com/zioflow/gateway/zmtp"
)

const (
	// maxBatch is from how many bytes on nothing more is written with one call.
	maxBatch = 256 << 10

	// copyBelow is the size, in bytes, of pieces that are copied to be written; larger
	// ones are written from where they lie.
	copyBelow = 4 << 10

	// lookInterval is how often it is looked how much of a batch has been written.
	lookInterval = 250 * time.Millisecond

	// keepScratch is how much memory is kept for the next batch.
	keepScratch = 64 << 10
)

// writer writes a session's messages. It belongs to the session's writing goroutine.
type writer struct {
	*session
	entries []entry[outbound] // that are being written
	ends    []int             // of each, in bytes of the batch
	size    int               // of the batch
	buffers net.Buffers       // the batch
	scratch []byte            // what is copied into it
	from    int               // of scratch, what is in no buffer yet
}

// write writes until the session ends or its socket fails.
func (s *session) write() {
	defer s.recover()
	w := &writer{session: s}
	for {
		w.fill()
		if w.size == 0 {
			select {
			case <-s.out.wait(func() bool { return len(s.out.entries) > 0 }):
			case <-s.urgent:
			case <-s.ctx.Done():
				return
			}
			continue
		}
		if !w.flush() {
			return
		}
	}
}

// fill makes a batch of what waits, heartbeats in front.
func (w *writer) fill() {
	w.heartbeats()
	w.entries = w.out.take(w.entries[:0], maxBatch)
	for _, e := range w.entries {
		w.add(e.item.frames)
		w.ends = append(w.ends, w.size)
	}
	w.cut()
	if len(w.entries) > 0 {
		w.wrote.Store(true)
	}
}

// flush writes the batch, and gives back what it consisted of. It returns false if
// the socket takes nothing any more.
func (w *writer) flush() bool {
	written, err := w.writeAll()
	left := 0
	for i, e := range w.entries {
		if w.ends[i] <= written {
			w.sent.Add(1)
			w.out.release(1, e.size)
		} else {
			left++
		}
		e.item.release()
	}
	clear(w.entries)
	w.entries, w.ends, w.size, w.from = w.entries[:0], w.ends[:0], 0, 0
	if w.scratch = w.scratch[:0]; cap(w.scratch) > keepScratch {
		w.scratch = nil
	}
	switch {
	case err == nil:
		return true
	case isTimeout(err):
		w.fail(Stalled, "the peer has taken nothing for "+w.options.Stall.String(), err)
	default:
		w.sever(err)
	}
	return false
}

// writeAll writes the batch, however long that takes while something moves. A time in
// which this process stood still counts as one look.
func (w *writer) writeAll() (written int, err error) {
	rest := w.buffers
	defer func() {
		clear(w.buffers)
		w.buffers = w.buffers[:0]
	}()
	look := min(lookInterval, w.options.Stall)
	for waited := time.Duration(0); len(rest) > 0; {
		if err := w.conn.SetWriteDeadline(time.Now().Add(look)); err != nil {
			return written, err
		}
		n, err := rest.WriteTo(w.conn)
		written += int(n)
		w.bytesOut.Add(uint64(n))
		if waited += look; n > 0 {
			waited = 0
		}
		if err != nil && (!isTimeout(err) || waited >= w.options.Stall) {
			return written, err
		}
	}
	return written, nil
}

// add adds a message.
func (w *writer) add(frames []frame) {
	for i, f := range frames {
		h := zmtp.Header{More: i < len(frames)-1, Size: uint64(f.size())}
		if w.cipher != nil {
			w.seal(h, f...)
			continue
		}
		w.copy(zmtp.AppendHeader(nil, h))
		for _, piece := range f {
			if len(piece) < copyBelow {
				w.copy(piece)
				continue
			}
			w.cut()
			w.buffers = append(w.buffers, piece)
			w.size += len(piece)
		}
	}
}

// command adds a command, given its frame.
func (w *writer) command(raw []byte) {
	if w.cipher == nil {
		w.copy(raw)
		return
	}
	h, n, _ := zmtp.ParseHeader(raw)
	w.seal(h, raw[n:])
}

func (w *writer) copy(b []byte) {
	w.scratch = append(w.scratch, b...)
	w.size += len(b)
}

func (w *writer) seal(h zmtp.Header, body ...[]byte) {
	before := len(w.scratch)
	w.scratch = w.cipher.Seal(w.scratch, h, body...)
	w.size += len(w.scratch) - before
}

// cut makes a buffer of what was copied since the last one. Memory that scratch has
// grown out of stays as it is.
func (w *writer) cut() {
	if w.from < len(w.scratch) {
		w.buffers = append(w.buffers, w.scratch[w.from:len(w.scratch):len(w.scratch)])
		w.from = len(w.scratch)
	}
}
