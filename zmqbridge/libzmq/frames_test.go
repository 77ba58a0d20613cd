//go:build cgo && libzmq

package libzmq

import (
	"bytes"
	"errors"
	"testing"

	"github.com/zioflow/gateway/broker/zio"
)

// framesOf is frames as if these parts had been received.
func framesOf(t testing.TB, single bool, parts ...[]byte) *frames {
	t.Helper()
	p, err := newFrames(single)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range parts {
		b, err := p.add(len(part))
		if err != nil {
			t.Fatal(err)
		}
		copy(b, part)
	}
	return p
}

// contents is a copy of a message's parts.
func contents(p *frames) (parts [][]byte) {
	for i := range p.count() {
		parts = append(parts, bytes.Clone(p.part(i)))
	}
	return parts
}

// wrapped is a message as it would be sent, which it uses up.
func wrapped(t testing.TB, m *zio.Message, single bool) [][]byte {
	t.Helper()
	p, err := wrap(m, single)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Release()
	return contents(p)
}

func equalParts(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

// Between the forms nothing is lost, whatever the parts' sizes: those below a few
// KiB are copied, larger ones are borrowed (MSG-4 to MSG-9, BRK-4).
func TestForms_MSG_4_MSG_9_BRK_4(t *testing.T) {
	label := []byte(`{"flow":"DAT","note":"` + string(bytes.Repeat([]byte("x"), 300)) + `"}`)
	for _, sizes := range [][]int{
		nil, {0}, {1}, {29, 30, 33, 34}, {254, 255}, {2047, 2048, 2049}, {100_000}, {1 << 20, 0, 5, 40_000},
		{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 3000, 12},
	} {
		m := &zio.Message{
			Level: 3, Form: zio.FormFlow, Label: label, Coord: zio.Coord{Origin: 1, Granule: 2, Seqno: 1 << 60},
		}
		for i, size := range sizes {
			m.Payload = append(m.Payload, bytes.Repeat([]byte{byte(i + 1)}, size))
		}
		single := [][]byte{m.AppendEncoded(nil)}
		parts := append([][]byte{nil, m.AppendPrefix(nil), m.AppendCoord(nil)}, m.Payload...)
		for _, from := range []bool{true, false} {
			for _, to := range []bool{true, false} {
				received, want := parts, parts
				if from {
					received = single
				}
				if to {
					want = single
				}
				opened, err := framesOf(t, from, received...).open()
				if err != nil {
					t.Fatal(err)
				}
				if got := wrapped(t, opened, to); !equalParts(got, want) {
					t.Errorf("payload sizes %v, single %v to %v: the message has changed", sizes, from, to)
				}
			}
		}
		for _, to := range []bool{true, false} { // a message in Go's memory
			own := *m
			want := parts
			if to {
				want = single
			}
			if got := wrapped(t, &own, to); !equalParts(got, want) {
				t.Errorf("payload sizes %v, from Go's memory, single %v: the message has changed", sizes, to)
			}
		}
	}
}

// A slice outlives the message that it was split from, and that one's memory is given
// back with the last slice: run with -asan.
func TestSlicesOutliveTheirMessage(t *testing.T) {
	m := &zio.Message{Form: zio.FormFlow, Label: []byte(`{"flow":"DAT"}`), Payload: [][]byte{
		bytes.Repeat([]byte("a"), 10_000), bytes.Repeat([]byte("b"), 10_000),
	}}
	opened, err := framesOf(t, true, m.AppendEncoded(nil)).open()
	if err != nil {
		t.Fatal(err)
	}
	cut, err := wrap(opened, false)
	if err != nil {
		t.Fatal(err)
	}
	defer cut.Release()
	for range 100 { // uses the memory again, had it been freed
		framesOf(t, true, make([]byte, 20_100)).Release()
	}
	if got := contents(cut); !equalParts(got[3:], m.Payload) {
		t.Error("the payload has changed")
	}
}

// FuzzOpen has whatever may be received opened and turned into the other form and
// back: no byte outside a message is read (with -asan), and what comes out says
// the same.
func FuzzOpen(f *testing.F) {
	m := &zio.Message{Form: zio.FormFlow, Label: []byte(`{"flow":"DAT"}`), Payload: [][]byte{[]byte("Hi"), nil}}
	f.Add(m.AppendEncoded(nil), []byte(nil), []byte(nil), []byte(nil))
	f.Add([]byte(nil), m.AppendPrefix(nil), m.AppendCoord(nil), bytes.Repeat([]byte("large"), 1000))
	f.Add([]byte("\xff\x00\x00\x00\x08ZIO0FLOW\xff\x00\x00\x00\x18"+string(make([]byte, 24))+"\x00"), []byte(nil), []byte("x"), []byte(nil))
	f.Add([]byte{0}, []byte{0}, []byte{0}, []byte{0})
	f.Fuzz(func(t *testing.T, a, b, c, d []byte) {
		fuzzOpen(t, framesOf(t, true, a))
		fuzzOpen(t, framesOf(t, true, append(bytes.Clone(a), d...)))
		fuzzOpen(t, framesOf(t, false, a, b, c, d))
		fuzzOpen(t, framesOf(t, false, a, b, c))
		fuzzOpen(t, framesOf(t, false, a))
	})
}

func fuzzOpen(t *testing.T, p *frames) {
	single := p.single
	m, err := p.open()
	if err != nil {
		if !errors.Is(err, zio.ErrMalformed) && !errors.Is(err, errDelimiter) {
			t.Fatalf("error %v", err)
		}
		return
	}
	want := m.WithLabel(bytes.Clone(m.Label))
	again, err := framesOf(t, !single, wrapped(t, m, !single)...).open()
	if err != nil {
		t.Fatalf("the other form is not understood: %v", err)
	}
	defer again.Release()
	if again.Level != want.Level || again.Form != want.Form || again.Coord != want.Coord ||
		!bytes.Equal(again.Label, want.Label) || !equalParts(again.Payload, want.Payload) {
		t.Fatalf("%+v became %+v", want, again)
	}
}

// A message that somebody else holds as well is sent in either form, and is whole for the
// other holder after that.
func TestWrapLeavesASharedMessageAlone(t *testing.T) {
	t.Parallel()
	label, coord := []byte(`ZIO4FLOW{"flow":"DAT"}`), make([]byte, coordSize)
	payload := bytes.Repeat([]byte("payload"), 1000)
	one, err := framesOf(t, false, nil, label, coord, payload).open()
	if err != nil {
		t.Fatal(err)
	}
	inOne := wrapped(t, one, true)
	for _, from := range []bool{false, true} {
		for _, to := range []bool{false, true} {
			came := framesOf(t, false, nil, label, coord, payload)
			if from {
				came = framesOf(t, true, inOne[0])
			}
			m, err := came.open()
			if err != nil {
				t.Fatal(err)
			}
			before := contents(came)
			want := [][]byte{nil, label, coord, payload}
			if to {
				want = inOne
			}
			m.Hold()
			if got := wrapped(t, m, to); !equalParts(got, want) {
				t.Errorf("from one part %v to one part %v: sent %d parts, want %d", from, to, len(got), len(want))
			}
			if after := contents(came); !equalParts(after, before) || !bytes.Equal(m.Part(0).AppendTo(nil), payload) {
				t.Errorf("from one part %v to one part %v: the other holder has %d parts, had %d", from, to, len(after), len(before))
			}
			m.Release()
		}
	}
}
