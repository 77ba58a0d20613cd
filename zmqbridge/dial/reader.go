package dial

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/zioflow/gateway/zmtp"
)

const (
	// readBuffer is what a connection holds to read into. Larger frames are read into
	// memory of their own.
	readBuffer = 16 << 10

	// firstPiece is how much memory, in bytes, a frame is given before any of it has
	// come, unless as large a one has come before. When that is full it is given growth
	// times as much, up to its size.
	firstPiece = 64 << 10
	growth     = 4

	// maxCommand bounds a command, in bytes. PING and PONG are far below.
	maxCommand = 1 << 10
)

// reader takes a session's frames apart. It belongs to the session's reading
// goroutine.
type reader struct {
	*session
	in    *bufio.Reader
	parts [][]byte // of a message that has not come whole
	size  int      // of them

	largest int // frame that has come whole, in bytes
}

// read reads until the session ends.
func (s *session) read(rest []byte) {
	defer s.recover()
	r := &reader{session: s, in: bufio.NewReaderSize(io.MultiReader(bytes.NewReader(rest), arrival{s}), readBuffer)}
	for {
		if err := r.frame(); err != nil {
			s.readFailed(err)
			return
		}
	}
}

// readFailed ends the session because of an error of reading.
func (s *session) readFailed(err error) {
	if f, ok := errors.AsType[*fault](err); ok {
		s.fail(f.cause, f.detail, nil)
	} else if z, ok := errors.AsType[*zmtp.Error](err); ok {
		s.fail(Protocol, "the peer breaks the protocol: "+z.Detail, err)
	} else {
		s.fail(Lost, "the connection was lost: "+reasonOf(err), err)
	}
	s.stop() // where it is severed, fail has not
}

// fault is for what a connection is given up.
type fault struct {
	cause  Cause
	detail string
}

func (f *fault) Error() string { return f.detail }

// arrival reads a session's connection and takes note that something has come.
type arrival struct{ *session }

func (a arrival) Read(b []byte) (int, error) {
	if a.severed.Load() {
		_ = a.conn.SetReadDeadline(time.Now().Add(severedGrace))
	}
	n, err := a.conn.Read(b)
	if n > 0 {
		a.bytesIn.Add(uint64(n))
		a.seen()
	}
	return n, err
}

// frame reads one frame.
func (r *reader) frame() error {
	h, err := r.header()
	if err != nil {
		return err
	}
	if r.cipher != nil {
		return r.sealed(h)
	}
	if h.Command {
		body, err := r.commandBody(h.Size)
		if err != nil {
			return err
		}
		return r.command(body)
	}
	if err := r.check(h.Size); err != nil {
		return err
	}
	body, err := r.body(int(h.Size))
	if err != nil {
		return err
	}
	return r.part(h, body)
}

// sealed reads a frame that is encrypted.
func (r *reader) sealed(h zmtp.Header) error {
	if h.More || h.Size < uint64(zmtp.Overhead) {
		return &fault{Protocol, "the peer sends a frame that CURVE does not have"}
	}
	if err := r.check(h.Size - uint64(zmtp.Overhead)); err != nil {
		return err
	}
	body, err := r.body(int(h.Size))
	if err != nil {
		return err
	}
	h, plain, err := r.cipher.OpenInPlace(body)
	switch {
	case err != nil:
		return err
	case !h.Command:
		return r.part(h, plain)
	case len(plain) > maxCommand:
		return tooLongCommand(uint64(len(plain)))
	}
	return r.command(plain)
}

// header reads a frame's header.
func (r *reader) header() (zmtp.Header, error) {
	for n := 2; ; n = zmtp.MaxHeader {
		b, short := r.in.Peek(n)
		h, size, err := zmtp.ParseHeader(b)
		switch {
		case err != nil:
			return h, err
		case size > 0:
			_, err := r.in.Discard(size)
			return h, err
		case short != nil:
			return h, short
		}
	}
}

// check says whether the next frame, of that size, makes its message too large.
func (r *reader) check(size uint64) error {
	switch {
	case size > uint64(r.options.MaxMessage-r.size):
		return &fault{TooLarge, fmt.Sprintf("the peer sends a message of %d bytes or more, %d are allowed",
			uint64(r.size)+size, r.options.MaxMessage)}
	case len(r.parts) >= r.options.MaxParts:
		return &fault{TooLarge, fmt.Sprintf("the peer sends a message of more than %d parts", r.options.MaxParts)}
	}
	return nil
}

// body reads a frame's body into memory that grows as it comes.
func (r *reader) body(size int) ([]byte, error) {
	b := make([]byte, 0, min(size, max(firstPiece, r.largest)))
	for len(b) < size {
		if len(b) == cap(b) {
			b = append(make([]byte, 0, min(size, growth*cap(b))), b...)
		}
		n, err := r.in.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err != nil && len(b) < size {
			return nil, err
		}
	}
	r.largest = max(r.largest, size)
	return b, nil
}

// part takes a part of a message. With the last one the message goes to those who
// wait for it.
func (r *reader) part(h zmtp.Header, body []byte) error {
	r.parts, r.size = append(r.parts, body), r.size+len(body)
	if h.More {
		return nil
	}
	parts, size := r.parts, r.size
	r.parts, r.size = nil, 0
	if done, _ := r.session.in.tryPush(parts, size); done {
		return nil
	}
	// Nothing is read meanwhile, no heartbeat either: that is not the peer's fault.
	r.full.Store(true)
	err := r.session.in.push(r.ctx, parts, size)
	r.seen()
	r.full.Store(false)
	if err != nil && r.ctx.Err() != nil { // the session ends; what has come is received all the same
		r.session.in.force(parts, size)
	}
	return nil // or nobody will receive any more
}

// commandBody reads a command's body.
func (r *reader) commandBody(size uint64) ([]byte, error) {
	if size > maxCommand {
		return nil, tooLongCommand(size)
	}
	return r.body(int(size))
}

func tooLongCommand(size uint64) error {
	return &fault{Protocol, fmt.Sprintf("the peer sends a command of %d bytes, %d are allowed", size, maxCommand)}
}

// command deals with a command that came in the traffic.
func (r *reader) command(body []byte) error {
	name, data, err := zmtp.ParseCommand(body)
	if err != nil {
		return err
	}
	switch name {
	case "PING":
		ttl, context, err := zmtp.ParsePing(data)
		if err != nil {
			return err
		}
		r.ttl.Store(int64(ttl))
		r.answer(zmtp.AppendPong(make([]byte, 0, 32), context))
	case "PONG":
		r.transit.Answered()
	case "ERROR":
		reason, err := zmtp.ParseError(data)
		if err != nil {
			return err
		}
		return &fault{Refused, fmt.Sprintf("the peer has ended the connection: %.255q", reason)}
	}
	return nil // what is not known is passed over, and a sign of life like any other
}
