package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// frameOf is a message's frame with this body.
func frameOf(body []byte) []byte { return append(appendHead(nil, 0, len(body)), body...) }

// However what comes is cut into pieces, the same frames are seen, and of their
// bodies the first bytes.
func TestStream(t *testing.T) {
	t.Parallel()
	bodies := [][]byte{
		{}, []byte("short"), bytes.Repeat([]byte{1}, 255), bytes.Repeat([]byte{2}, 256),
		bytes.Repeat([]byte{3}, shown), bytes.Repeat([]byte{4}, 5000), []byte("last"),
	}
	var all []byte
	var want []string
	for _, body := range bodies {
		all = append(all, frameOf(body)...)
		want = append(want, fmt.Sprintf("%d %x", len(body), body[:min(len(body), shown)]))
	}
	for _, each := range []int{1, 2, 3, 7, 100, 511, 1000, len(all)} {
		var s stream
		var got []string
		for piece := range slices.Chunk(all, each) {
			if len(s.rest) >= longHead+shown {
				t.Fatalf("in pieces of %d: %d bytes are kept", each, len(s.rest))
			}
			err := s.cut(append(slices.Clone(s.rest), piece...), func(f frame) error {
				got = append(got, fmt.Sprintf("%d %x", f.size, f.body))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pieces of %d: %q, want %q", each, got, want)
		}
	}
}

func TestStreamStops(t *testing.T) {
	t.Parallel()
	endless := append([]byte{flagLong}, bytes.Repeat([]byte{0xff}, 8)...)
	if err := new(stream).cut(endless, func(frame) error { return nil }); !errors.Is(err, errSize) {
		t.Errorf("a frame of 16 EiB: %v", err)
	}
	broken := errors.New("broken")
	if err := new(stream).cut(frameOf(nil), func(frame) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("an error is %v", err)
	}
}

// peer is what the other side has sent, and hears.
type peer struct {
	io.Reader
	heard bytes.Buffer
}

func (p *peer) Write(b []byte) (int, error) { return p.heard.Write(b) }

func TestShakeHands(t *testing.T) {
	t.Parallel()
	with := func(at int, value byte) []byte {
		g := greeting()
		g[at] = value
		return g
	}
	good := appendCommand(nil, "READY", []byte("\x0bSocket-Type\x00\x00\x00\x06SERVER"))
	for _, test := range []struct {
		name     string
		greeting []byte
		then     []byte
		want     string // the error
	}{
		{"good", greeting(), append(slices.Clone(good), "and more"...), ""},
		{"refused", greeting(), appendCommand(nil, "ERROR", []byte("\x03no!")), "no!"},
		{"CURVE", with(12, 'C'), good, "greeting is"},
		{"too old", with(10, 2), good, "greeting is"},
		{"no ZMTP", with(0, 'H'), good, "greeting is"},
		{"a message", greeting(), frameOf([]byte("hello")), "no command"},
		{"another command", greeting(), appendCommand(nil, "PING", []byte("\x00\x00")), "instead of READY"},
		{"cut short", greeting()[:40], nil, "greeting"},
	} {
		p := &peer{Reader: io.MultiReader(bytes.NewReader(test.greeting), bytes.NewReader(test.then))}
		err := shakeHands(p)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
		if test.want != "" {
			continue
		}
		if left, _ := io.ReadAll(p.Reader); string(left) != "and more" {
			t.Errorf("%s: %q is left", test.name, left)
		}
		want := slices.Concat(greeting(), appendCommand(nil, "READY", []byte("\x0bSocket-Type\x00\x00\x00\x06CLIENT")))
		if !bytes.Equal(p.heard.Bytes(), want) {
			t.Errorf("%s: heard %q, want %q", test.name, p.heard.Bytes(), want)
		}
	}
}
