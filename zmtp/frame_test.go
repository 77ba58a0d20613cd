package zmtp

import (
	"bytes"
	"errors"
	"math"
	"testing"
)

func TestHeader(t *testing.T) {
	t.Parallel()
	long := func(flags byte, size ...byte) []byte { return append([]byte{flags}, size...) }
	for _, c := range []struct {
		name  string
		bytes []byte
		want  Header
		err   error
		at    int  // how many bytes it takes to see err
		again bool // AppendHeader gives the same bytes
	}{
		{name: "empty message", bytes: []byte{0, 0}, want: Header{}, again: true},
		{name: "short", bytes: []byte{0, 255}, want: Header{Size: 255}, again: true},
		{name: "short, more", bytes: []byte{1, 7}, want: Header{More: true, Size: 7}, again: true},
		{name: "short command", bytes: []byte{4, 38}, want: Header{Command: true, Size: 38}, again: true},
		{name: "long", bytes: long(2, 0, 0, 0, 0, 0, 0, 1, 0), want: Header{Size: 256}, again: true},
		{name: "long, more", bytes: long(3, 0, 0, 0, 1, 2, 3, 4, 5), want: Header{More: true, Size: 0x102030405}, again: true},
		{name: "long command", bytes: long(6, 0, 0, 0, 0, 0, 0, 16, 0), want: Header{Command: true, Size: 4096}, again: true},
		{name: "long for little", bytes: long(2, 0, 0, 0, 0, 0, 0, 0, 3), want: Header{Size: 3}},
		{name: "greatest", bytes: long(2, 0x7f, 255, 255, 255, 255, 255, 255, 255), want: Header{Size: math.MaxInt64}, again: true},
		{name: "2^63", bytes: long(2, 0x80, 0, 0, 0, 0, 0, 0, 0), err: errHugeFrame, at: 2},
		{name: "2^64-1", bytes: long(2, 255, 255, 255, 255, 255, 255, 255, 255), err: errHugeFrame, at: 2},
		{name: "command with MORE", bytes: []byte{5, 1}, err: errMoreCommand, at: 1},
		{name: "long command with MORE", bytes: long(7, 0, 0, 0, 0, 0, 0, 1, 0), err: errMoreCommand, at: 1},
		{name: "reserved 3", bytes: []byte{8, 1}, err: errReserved, at: 1},
		{name: "reserved 7", bytes: []byte{0x84, 1}, err: errReserved, at: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for i := range c.bytes {
				h, n, err := ParseHeader(c.bytes[:i])
				if wantErr := c.err != nil && i >= c.at; n != 0 || h != (Header{}) || (err != nil) != wantErr {
					t.Errorf("of %d bytes: %+v, %d, %v", i, h, n, err)
				}
			}
			h, n, err := ParseHeader(append(bytes.Clone(c.bytes), "body"...))
			if !errors.Is(err, c.err) || h != c.want || err == nil && n != len(c.bytes) {
				t.Errorf("%+v, %d, %v; want %+v, %d, %v", h, n, err, c.want, len(c.bytes), c.err)
			}
			if c.again && !bytes.Equal(AppendHeader([]byte("x"), h), append([]byte("x"), c.bytes...)) {
				t.Errorf("becomes % x", AppendHeader(nil, h))
			}
		})
	}
}
