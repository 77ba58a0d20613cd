package zmqbridge

import (
	"encoding/binary"
	"sync"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmtp"
)

// copyBelow is the size, in bytes, below which what a message refers to is copied
// when it changes its form: a run of its own would cost more.
const copyBelow = 4 << 10

// plain adds a message in the form of SERVER's peers, in a single part, or of
// ROUTER's. One that came in that form is sent on as it is. It returns the memory
// that the message's new form needs, nil for none.
func (b *runList) plain(m *zio.Message, single bool) *slab {
	if from, ok := m.Carrier().(*message); ok && m == &from.Message && from.single == single {
		for _, s := range from.wire {
			b.addRun(s.b)
		}
		return nil
	}
	e := newEncoder(b, m)
	if single {
		e.single(m)
	} else {
		e.multi(m)
	}
	e.cut()
	return e.slab
}

// encoder writes a message's new form: heads, and what is small, into memory of its
// own, and refers to the rest.
type encoder struct {
	runs *runList
	slab *slab
	out  []byte // the slab's memory, written up to here
	from int    // of out, what is in no run yet
}

func newEncoder(b *runList, m *zio.Message) *encoder {
	size := zmtp.MaxHeader + 2 + 5 + m.PrefixSize() + 5 + 2*zmtp.MaxHeader + 24
	for i := range m.Parts() {
		size += zmtp.MaxHeader
		for _, piece := range m.Part(i) {
			if len(piece) < copyBelow {
				size += len(piece)
			}
		}
	}
	s := newSlabFor(size)
	return &encoder{runs: b, slab: s, out: s.data[:0]}
}

// cut makes a run of what was written since the last one.
func (e *encoder) cut() {
	e.runs.addRun(e.out[e.from:])
	e.from = len(e.out)
}

func (e *encoder) part(p zio.Part) {
	for _, piece := range p {
		if len(piece) < copyBelow {
			e.out = append(e.out, piece...)
			continue
		}
		e.cut()
		e.runs.addRun(piece)
	}
}

// single writes the form of one part (MSG-4).
func (e *encoder) single(m *zio.Message) {
	e.header(false, m.EncodedSize())
	e.out = appendPartSize(e.out, m.PrefixSize())
	e.out = m.AppendPrefix(e.out)
	e.out = appendPartSize(e.out, 24)
	e.out = m.AppendCoord(e.out)
	for i := range m.Parts() {
		part := m.Part(i)
		e.out = appendPartSize(e.out, part.Len())
		e.part(part)
	}
}

// multi writes the form of many parts, with a delimiter (MSG-9).
func (e *encoder) multi(m *zio.Message) {
	e.header(true, 0)
	e.header(true, m.PrefixSize())
	e.out = m.AppendPrefix(e.out)
	e.header(m.Parts() > 0, 24)
	e.out = m.AppendCoord(e.out)
	for i := range m.Parts() {
		part := m.Part(i)
		e.header(i < m.Parts()-1, part.Len())
		e.part(part)
	}
}

func (e *encoder) header(more bool, size int) {
	e.out = zmtp.AppendHeader(e.out, zmtp.Header{More: more, Size: uint64(size)})
}

func appendPartSize(b []byte, n int) []byte {
	if n < 0xff {
		return append(b, byte(n))
	}
	return binary.BigEndian.AppendUint32(append(b, 0xff), uint32(n))
}

// seal adds a frame or, where that is nil, a message as CURVE sends it: every frame
// encrypted, in memory of its own, which it returns.
func (n *inner) seal(b *runList, session *zmtp.Session, raw []byte, m *zio.Message, single bool) *slab {
	if raw != nil {
		s := newSlabFor(len(raw) + zmtp.MaxHeader + zmtp.Overhead)
		h, head, _ := zmtp.ParseHeader(raw)
		b.addRun(session.Seal(s.data[:0], h, raw[head:]))
		return s
	}
	n.open(m, single)
	defer n.close()
	frames, size := 0, 0
	for count := (cursor{wire: n.wire}); ; frames++ {
		body, ok := count.nextFrame()
		if !ok {
			break
		}
		count.skip(body)
		size += body
	}
	s := newSlabFor(size + frames*(zmtp.MaxHeader+zmtp.Overhead))
	out := s.data[:0]
	for from := (cursor{wire: n.wire}); ; {
		h, ok := from.header()
		if !ok {
			break
		}
		n.body = from.pieces(n.body[:0], int(h.Size))
		out = session.Seal(out, h, n.body...)
	}
	b.addRun(out)
	return s
}

var innerRuns = sync.Pool{New: func() any { return new(runList) }}

// inner is a message before it is sealed.
type inner struct {
	plain *runList
	slab  *slab
	wire  []segment
	body  [][]byte
}

func (n *inner) open(m *zio.Message, single bool) {
	n.plain = innerRuns.Get().(*runList)
	n.slab = n.plain.plain(m, single)
	for _, r := range n.plain.runs {
		n.wire = append(n.wire, segment{b: r.b})
	}
}

func (n *inner) close() {
	if n.slab != nil {
		n.slab.release()
	}
	n.plain.reset()
	innerRuns.Put(n.plain)
	clear(n.wire)
	clear(n.body[:cap(n.body)])
	n.plain, n.slab, n.wire, n.body = nil, nil, n.wire[:0], n.body[:0]
	if cap(n.wire) > keepParts || cap(n.body) > keepParts {
		n.wire, n.body = nil, nil
	}
}
