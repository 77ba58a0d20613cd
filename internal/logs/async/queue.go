// Package async writes a log's lines without ever having who logs wait for who
// reads.
package async

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/zioflow/gateway/internal/text"
)

// Bounds of a queue. What is being written comes on top of what waits.
const (
	maxBytes = 512 << 10
	maxLines = 4096
	// maxLine bounds a line. One of seven texts that logs.Bound has cut fits; what
	// is longer is cut without regard to its format.
	maxLine = 16 << 10
)

// retry is after how long a reader is tried again that has no room, where the file
// does not wait by itself: somebody else has made it so.
const retry = 10 * time.Millisecond

// Queue is where lines wait to be written, by a goroutine of its own. A line for
// which it has no room is dropped and counted, and so is one that can't be written:
// the reader is gone, the disk full. As soon as lines can be written again, one says
// how many are missing. All methods may be called concurrently; none but Close
// waits.
type Queue struct {
	to      io.Writer
	dropped atomic.Uint64
	wake    chan struct{} // takes one
	closing chan struct{} // closed by Close
	late    chan struct{} // closed when Close waits no longer
	done    chan struct{} // closed when the goroutine ends
	begun   sync.Once     // of Close
	given   sync.Once     // of late

	notices slog.Handler // writes to notice
	notice  bytes.Buffer // the goroutine's
	torn    bool         // the goroutine's; the last line was not written whole

	mu      sync.Mutex
	waiting []byte // guarded by mu
	lines   int    // guarded by mu; in waiting
	missing uint64 // guarded by mu; dropped and not told of yet
	closed  bool   // guarded by mu
}

// Open starts a queue that writes to w, which may block. The handler that format
// makes writes the line that says how many others are missing; nil for no such line.
// Close ends the queue.
func Open(w io.Writer, format func(io.Writer) slog.Handler) *Queue {
	q := &Queue{
		to: w, wake: make(chan struct{}, 1),
		closing: make(chan struct{}), late: make(chan struct{}), done: make(chan struct{}),
	}
	if format != nil {
		q.notices = format(&q.notice)
	}
	go q.drain()
	return q
}

// Write takes one line. It never fails, since nobody could be told.
func (q *Queue) Write(line []byte) (int, error) {
	size := len(line)
	if size > maxLine {
		line = append([]byte(text.Cut(string(line[:maxLine+1]), maxLine-1)), '\n')
	}
	if !q.put(line) {
		q.dropped.Add(1)
		return size, nil
	}
	select {
	case q.wake <- struct{}{}:
	default: // it is awake
	}
	return size, nil
}

func (q *Queue) put(line []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.lines == maxLines || len(q.waiting)+len(line) > maxBytes {
		q.missing++
		return false
	}
	q.waiting = append(q.waiting, line...)
	q.lines++
	return true
}

// Dropped is how many lines were not written.
func (q *Queue) Dropped() uint64 { return q.dropped.Load() }

// Close writes what waits, for no longer than the timeout. What a reader does not
// take until then is dropped, and the goroutine that waits for him is left to
// itself: it ends when the reader takes something, or with the process. Closing
// again does nothing.
func (q *Queue) Close(timeout time.Duration) {
	q.begun.Do(func() {
		q.mu.Lock()
		q.closed = true
		q.mu.Unlock()
		close(q.closing)
	})
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-q.done:
	case <-timer.C:
		q.given.Do(func() { close(q.late) })
	}
}

// drain writes what waits, whenever something does.
func (q *Queue) drain() {
	defer close(q.done)
	var batch []byte
	var lines int
	var missing uint64
	for last := false; !last; {
		select {
		case <-q.wake:
		case <-q.closing:
			last = true
		}
		batch, lines, missing = q.swap(batch)
		if notice := q.tell(missing); len(batch)+len(notice) > 0 {
			q.write(batch, lines, notice, missing)
		}
	}
}

// swap takes what waits, and leaves an empty buffer for more. Lines that are missing
// are so because of those that it takes.
func (q *Queue) swap(empty []byte) (batch []byte, lines int, missing uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch, lines, missing = q.waiting, q.lines, q.missing
	q.waiting, q.lines, q.missing = empty[:0], 0, 0
	return batch, lines, missing
}

// tell is the line that says how many are missing.
func (q *Queue) tell(missing uint64) []byte {
	q.notice.Reset()
	if missing > 0 && q.notices != nil {
		r := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines dropped: they were not read in time", 0)
		r.AddAttrs(slog.Uint64("lines", missing))
		_ = q.notices.Handle(context.Background(), r) // a buffer takes it
	}
	return q.notice.Bytes()
}

// write writes the lines, and then the notice. What fails is missing, and told of
// when something can be written again.
func (q *Queue) write(batch []byte, lines int, notice []byte, missing uint64) {
	if q.torn {
		_, _ = q.writeAll([]byte{'\n'}) // if that fails, so does the next
	}
	written, err := q.writeAll(batch)
	if err == nil {
		if _, err = q.writeAll(notice); err == nil {
			return
		}
	}
	lost := lines - bytes.Count(batch[:written], []byte{'\n'})
	q.dropped.Add(uint64(lost))
	q.mu.Lock()
	defer q.mu.Unlock()
	q.missing += missing + uint64(lost)
}

// writeAll writes, and waits where the file itself does not.
func (q *Queue) writeAll(b []byte) (written int, err error) {
	for written < len(b) {
		n, err := q.to.Write(b[written:])
		if written += n; n > 0 {
			q.torn = b[written-1] != '\n'
		}
		switch {
		case err == nil:
		case errors.Is(err, syscall.EAGAIN):
			if !q.pause() {
				return written, err
			}
		default:
			return written, err
		}
	}
	return written, nil
}

// pause waits a moment; false when nobody waits any longer for what is left.
func (q *Queue) pause() bool {
	timer := time.NewTimer(retry)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-q.late:
		return false
	}
}
