package dial

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/zioflow/gateway/broker/zio"
)

// TestForms: both forms of a message are those that package zio reads, also of one
// whose parts lie in pieces.
func TestForms(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte("long"), 5000)
	for name, m := range map[string]*zio.Message{
		"no part":           {Label: []byte(`{"flow":"PAY"}`)},
		"some parts":        {Label: []byte(`{}`), Payload: [][]byte{[]byte("one"), nil, long, []byte("four")}},
		"a long label":      {Label: bytes.Repeat([]byte(" "), 1000), Payload: [][]byte{[]byte("one")}},
		"parts in pieces":   {Payload: [][]byte{[]byte("on"), []byte("e"), long, long}, Ends: []int{2, 2, 4}},
		"just one byte":     {Payload: [][]byte{bytes.Repeat([]byte("x"), 254)}},
		"just five bytes":   {Payload: [][]byte{bytes.Repeat([]byte("x"), 255)}},
		"parts of no bytes": {Payload: [][]byte{{}, {}}},
	} {
		m.Form, m.Coord = zio.FormFlow, zio.Coord{Origin: 1, Granule: 2, Seqno: 3}
		single := singlePart(m)
		got := slices.Concat(single.frames[0]...)
		if want := m.AppendEncoded(nil); !bytes.Equal(got, want) || len(single.frames) != 1 || single.size != len(want) {
			t.Errorf("%s: a CLIENT sends %d bytes %.60q, want %d bytes %.60q", name, single.size, got, len(want), want)
		}
		many := manyParts(m)
		parts := make([][]byte, len(many.frames))
		size := 0
		for i, f := range many.frames {
			parts[i] = slices.Concat(f...)
			size += len(parts[i])
		}
		back := new(zio.Message)
		if err := back.DecodeParts(parts[1:]); err != nil || len(parts[0]) > 0 || size != many.size || !same(back, m) {
			t.Errorf("%s: a DEALER sends %.60q (%d bytes, %v)", name, parts, many.size, err)
		}
	}
}

func same(a, b *zio.Message) bool {
	ok := a.Form == b.Form && a.Coord == b.Coord && string(a.Label) == string(b.Label) && a.Parts() == b.Parts()
	for i := 0; ok && i < a.Parts(); i++ {
		ok = bytes.Equal(a.Part(i).AppendTo(nil), b.Part(i).AppendTo(nil))
	}
	return ok
}

// TestWrongParts: what a socket type cannot send is refused.
func TestWrongParts(t *testing.T) {
	t.Parallel()
	n := &network{t: t}
	c := n.start(heartbeats())
	for _, parts := range [][][]byte{nil, {nil, nil}} {
		if err := c.SendParts(t.Context(), parts...); err == nil || !strings.Contains(err.Error(), "CLIENT") {
			t.Errorf("a CLIENT sends %d parts: %v", len(parts), err)
		}
	}
}
