package dial

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmtp"
)

// outbound is a message that is to be sent: its frames, without headers.
type outbound struct {
	frames  []frame
	size    int          // of all frames
	message *zio.Message // to be released; nil if there is none
}

// frame is a frame's body in the pieces in which it lies in memory.
type frame [][]byte

func (f frame) size() int { return zio.Part(f).Len() }

func (p *outbound) release() {
	if p.message != nil {
		p.message.Release()
		p.message = nil
	}
}

// SendParts sends a message of those parts, of which a CLIENT's has one. It returns
// once the message waits to be written. It waits for that, while the context lasts:
// for the first connection, and for room. Nothing in the parts may be changed any
// more, unless an error is returned: then nothing was sent, nor will be.
//
// It may be called concurrently; so may all methods of a Conn.
func (c *Conn) SendParts(ctx context.Context, parts ...[]byte) error {
	if len(parts) == 0 || c.options.Type == zmtp.Client && len(parts) > 1 {
		return fmt.Errorf("a message of %d parts cannot be sent by a %s", len(parts), c.options.Type)
	}
	p := outbound{frames: make([]frame, len(parts))}
	for i := range parts {
		p.frames[i] = parts[i : i+1 : i+1]
		p.size += len(parts[i])
	}
	return c.send(ctx, p)
}

// ReceiveParts returns the parts of the next message, which are the caller's. One
// that is there already is returned even if the context is over. After a loss it
// returns what came before, then the loss.
func (c *Conn) ReceiveParts(ctx context.Context) ([][]byte, error) { return c.receive(ctx) }

// Send is SendParts for a ZIO message, which it releases when that has been written,
// or cannot be any more. If it returns an error, the message is still the caller's.
func (c *Conn) Send(ctx context.Context, m *zio.Message) error {
	if c.options.Type == zmtp.Dealer {
		return c.send(ctx, manyParts(m))
	}
	for i := range m.Parts() {
		if n := m.Part(i).Len(); n > math.MaxUint32 { // MSG-4
			return fmt.Errorf("part %d has %d bytes, more than a CLIENT can send", i, n)
		}
	}
	return c.send(ctx, singlePart(m))
}

// Receive is ReceiveParts for a ZIO message. One that is malformed is an error that
// wraps zio.ErrMalformed, and changes nothing else.
func (c *Conn) Receive(ctx context.Context) (*zio.Message, error) {
	parts, err := c.receive(ctx)
	if err != nil {
		return nil, err
	}
	m := new(zio.Message)
	switch {
	case c.options.Type == zmtp.Client && len(parts) == 1:
		err = m.Decode(parts[0])
	case c.options.Type == zmtp.Client:
		err = fmt.Errorf("%w: %d parts instead of one", zio.ErrMalformed, len(parts))
	case len(parts[0]) > 0: // MSG-9
		err = fmt.Errorf("%w: an empty part must come first", zio.ErrMalformed)
	default:
		err = m.DecodeParts(parts[1:])
	}
	return m, err
}

// singlePart is a message in the form in which CLIENT and SERVER exchange it (MSG-4).
// The heads of all parts lie in one piece of memory, the parts where they are.
func singlePart(m *zio.Message) outbound {
	const longest = 5 // of a part's length
	heads := make([]byte, 0, longest+m.PrefixSize()+longest+24+longest*m.Parts())
	heads = appendLength(heads, m.PrefixSize())
	heads = m.AppendPrefix(heads)
	heads = appendLength(heads, 24)
	heads = m.AppendCoord(heads)
	pieces := make(frame, 0, 1+2*m.Parts())
	from := 0
	for i := range m.Parts() {
		part := m.Part(i)
		heads = appendLength(heads, part.Len())
		pieces = append(append(pieces, heads[from:]), part...)
		from = len(heads)
	}
	if from < len(heads) {
		pieces = append(pieces, heads[from:])
	}
	return outbound{frames: []frame{pieces}, size: pieces.size(), message: m}
}

func appendLength(b []byte, n int) []byte {
	if n < 0xff {
		return append(b, byte(n))
	}
	return binary.BigEndian.AppendUint32(append(b, 0xff), uint32(n))
}

// manyParts is a message in the form in which DEALER and ROUTER exchange it (MSG-9).
func manyParts(m *zio.Message) outbound {
	prefix := m.AppendPrefix(make([]byte, 0, m.PrefixSize()))
	coord := m.AppendCoord(make([]byte, 0, 24))
	p := outbound{frames: make([]frame, 0, 3+m.Parts()), message: m}
	p.frames = append(p.frames, nil, frame{prefix}, frame{coord})
	for i := range m.Parts() {
		p.frames = append(p.frames, frame(m.Part(i)))
	}
	for _, f := range p.frames {
		p.size += f.size()
	}
	return p
}
