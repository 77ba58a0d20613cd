package main

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/zioflow/gateway/broker/zio"
)

const (
	prefixHead = 8 // magic, level, form
	coordSize  = 24
	numberSize = 8 // at the beginning of a payload
)

// incoming is a message as far as a load generator looks at it.
type incoming struct {
	// hello is set for a relay's reply to a request to be paired; then there is
	// nothing else.
	hello   bool
	label   []byte
	payload int    // size of it
	number  uint64 // with which it begins
}

// parse reads a message of so many bytes from the first of them.
func parse(head []byte, size int) (m incoming, err error) {
	if size == numberSize {
		return incoming{hello: true}, nil
	}
	prefix, rest, err := cut(head)
	if err != nil {
		return m, fmt.Errorf("prefix: %w", err)
	}
	if len(prefix) < prefixHead || string(prefix[:3]) != "ZIO" {
		return m, fmt.Errorf("prefix is %q", prefix)
	}
	m.label = prefix[prefixHead:]
	coord, rest, err := cut(rest)
	if err != nil {
		return m, fmt.Errorf("coord: %w", err)
	}
	if len(coord) != coordSize {
		return m, fmt.Errorf("coord is of %d bytes", len(coord))
	}
	left := size - (len(head) - len(rest))
	if left == 0 {
		return m, nil
	}
	n, payload, err := length(rest)
	if err != nil {
		return m, fmt.Errorf("payload: %w", err)
	}
	if left -= len(rest) - len(payload); n != left || len(payload) < numberSize {
		return m, fmt.Errorf("payload is of %d bytes, and %d are left of the message", n, left)
	}
	m.payload, m.number = n, binary.LittleEndian.Uint64(payload)
	return m, nil
}

// cut takes the first part off.
func cut(b []byte) (part, rest []byte, err error) {
	n, rest, err := length(b)
	if err == nil && n > len(rest) {
		err = fmt.Errorf("%d bytes of %d are there", len(rest), n)
	}
	if err != nil {
		return nil, nil, err
	}
	return rest[:n], rest[n:], nil
}

// length reads a part's length.
func length(b []byte) (n int, rest []byte, err error) {
	switch {
	case len(b) > 0 && b[0] < 0xff:
		return int(b[0]), b[1:], nil
	case len(b) > 4:
		return int(binary.BigEndian.Uint32(b[1:])), b[5:], nil
	default:
		return 0, nil, fmt.Errorf("%d bytes are too few for a part", len(b))
	}
}

// dat is a DAT as a frame, of which only coord and number differ from one to the
// next.
type dat struct {
	head    []byte // all but the payload
	coord   int    // where in head it lies
	payload []byte
}

// newDat is for payloads of size bytes, at least numberSize.
func newDat(size int) *dat {
	d := &dat{payload: make([]byte, size)}
	m := &zio.Message{Form: zio.FormFlow, Label: zio.BareLabel(zio.DAT), Payload: [][]byte{d.payload}}
	before := m.EncodedSize() - size
	d.head = appendHead(nil, 0, m.EncodedSize())
	d.coord = len(d.head) + 1 + m.PrefixSize() + 1
	d.head = append(d.head, m.AppendEncoded(nil)[:before]...)
	return d
}

const (
	// copied is how large a payload may be to be copied behind its head; a larger
	// one is sent from where it lies.
	copied = 64 << 10
	// together is about how much is written at once.
	together = 256 << 10
)

// outbox collects what one connection is to be sent. One goroutine uses it, for
// all its connections in turn.
type outbox struct{ data []byte }

// frame adds one with this body.
func (o *outbox) frame(flags byte, body []byte) {
	o.data = append(appendHead(o.data, flags, len(body)), body...)
}

// label adds a message without payload.
func (o *outbox) label(label []byte, c zio.Coord) {
	m := &zio.Message{Form: zio.FormFlow, Label: label, Coord: c}
	o.data = appendHead(o.data, 0, m.EncodedSize())
	o.data = m.AppendEncoded(o.data)
}

// dat adds a DAT, and writes if it is time to.
func (o *outbox) dat(d *dat, c zio.Coord, number uint64, to *conn) error {
	at := len(o.data)
	o.data = append(o.data, d.head...)
	coord := o.data[at+d.coord : at+d.coord]
	coord = binary.LittleEndian.AppendUint64(coord, c.Origin)
	coord = binary.LittleEndian.AppendUint64(coord, c.Granule)
	binary.LittleEndian.AppendUint64(coord, c.Seqno)
	o.data = binary.LittleEndian.AppendUint64(o.data, number)
	rest := d.payload[numberSize:]
	if len(d.payload) <= copied {
		if o.data = append(o.data, rest...); len(o.data) < together {
			return nil
		}
		return o.flush(to)
	}
	if err := to.send(o.data, true); err != nil {
		return err
	}
	o.data = o.data[:0]
	return to.send(rest, false)
}

// flush writes it all.
func (o *outbox) flush(to *conn) error {
	if len(o.data) == 0 {
		return nil
	}
	err := to.send(o.data, false)
	o.data = o.data[:0]
	return err
}

// stamp is a message's place: the pair's seqno-th, now.
func stamp(pair, seqno uint64, now time.Time) zio.Coord {
	return zio.Coord{Origin: pair, Granule: uint64(now.UnixMicro()), Seqno: seqno}
}
