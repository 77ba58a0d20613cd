package zmqbridge

import (
	"errors"
	"fmt"
	"sync"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmtp"
)

// message is a ZIO message as it came: in the frames in which it was read, and in
// which it can be sent on without a copy. It implements zio.Carrier.
type message struct {
	zio.Message
	zio.Refs
	// single tells that it came from a CLIENT, in one frame; otherwise from a
	// DEALER, in one frame for every part and an empty one in front.
	single bool
	wire   []segment
	frames int
	size   int // bytes in wire

	parts [][]byte // room for decoding
	ends  []int    // likewise
}

var messages = sync.Pool{New: func() any { return new(message) }}

// newMessage is an empty message.
func newMessage(single bool) *message {
	m := messages.Get().(*message)
	m.single = single
	return m
}

// Hold implements zio.Carrier.
func (m *message) Hold() { m.Refs.Hold() }

// Release implements zio.Carrier.
func (m *message) Release() {
	if !m.Drop() {
		return
	}
	for i, s := range m.wire {
		if s.slab != nil {
			s.slab.release()
		}
		m.wire[i] = segment{}
	}
	m.wire, m.frames, m.size = m.wire[:0], 0, 0
	if cap(m.wire) > keepParts {
		m.wire = nil
	}
	payload := m.Payload
	if cap(payload) > keepParts || cap(m.parts) > keepParts || cap(m.ends) > keepParts {
		payload, m.parts, m.ends = nil, nil, nil
	}
	clear(payload)
	clear(m.parts)
	m.parts, m.ends = m.parts[:0], m.ends[:0]
	m.Message = zio.Message{Payload: payload[:0]}
	messages.Put(m)
}

// add appends bytes of the wire, which lie in that slab and are held from now on.
// What follows the bytes before it becomes one run with them.
func (m *message) add(s *slab, b []byte) {
	if len(b) == 0 {
		return
	}
	m.size += len(b)
	if n := len(m.wire); n > 0 {
		if last := &m.wire[n-1]; last.slab == s && follows(last.b, b) {
			last.b = last.b[:len(last.b)+len(b)]
			return
		}
	}
	s.hold()
	m.wire = append(m.wire, segment{s, b})
}

var (
	errDelimiter = errors.New("malformed message: an empty part must come first")
	errMultipart = errors.New("malformed message: a CLIENT's message has one part")
)

// open reads the ZIO message in the frames. The message is the caller's to release
// in either case.
func (m *message) open() (*zio.Message, error) {
	m.Carry(m)
	var err error
	switch {
	case m.single && m.frames > 1:
		err = errMultipart
	case len(m.wire) > 1:
		err = m.decodePieces()
	case m.single:
		_, n, _ := zmtp.ParseHeader(m.wire[0].b)
		err = m.Decode(m.wire[0].b[n:])
	default:
		err = m.decodeFrames()
	}
	m.Carry(m)
	return &m.Message, err
}

// decodeFrames reads a DEALER's message that lies in one run.
func (m *message) decodeFrames() error {
	b := m.wire[0].b
	for i := 0; len(b) > 0 && i < 3+zio.MaxParts+1; i++ {
		h, n, _ := zmtp.ParseHeader(b)
		body := b[n : n+int(h.Size) : n+int(h.Size)]
		b = b[n+int(h.Size):]
		if i > 0 {
			m.parts = append(m.parts, body)
		} else if len(body) > 0 { // MSG-9
			return errDelimiter
		}
	}
	return m.DecodeParts(m.parts)
}

// decodePieces reads a message that lies in several runs.
func (m *message) decodePieces() error {
	c := &cursor{wire: m.wire}
	next := c.nextFrame
	if m.single {
		c.header()
		next = c.nextPart
	} else if size, ok := c.nextFrame(); !ok || size != 0 {
		return errDelimiter
	}
	var head [2][]byte // prefix and coord
	for i := range head {
		size, ok := next()
		if !ok {
			return m.DecodeParts(head[:i])
		}
		if !c.has(size) {
			return errCutOff(size)
		}
		head[i] = c.contiguous(size)
	}
	if err := m.DecodeParts(head[:]); err != nil {
		return err
	}
	for len(m.ends) <= zio.MaxParts {
		size, ok := next()
		if !ok {
			break
		}
		if !c.has(size) {
			return errCutOff(size)
		}
		m.Payload = c.pieces(m.Payload, size)
		m.ends = append(m.ends, len(m.Payload))
	}
	if c.broken {
		return fmt.Errorf("%w: a part's length is cut off", zio.ErrMalformed)
	}
	m.Ends = m.ends
	return nil
}

func errCutOff(size int) error {
	return fmt.Errorf("%w: a part of %d bytes is cut off", zio.ErrMalformed, size)
}
