package zmtp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"testing"

	"golang.org/x/crypto/nacl/box"
)

const wayThere, wayBack = "CurveZMQMESSAGEC", "CurveZMQMESSAGES"

// sessions are both ends of a session.
func sessions(key *[32]byte) (client, server *Session) {
	return newSession(key, wayThere, 2, wayBack, 1), newSession(key, wayBack, 1, wayThere, 2)
}

func TestSessionIsNaclBox(t *testing.T) {
	t.Parallel()
	compareWithNaclBox(t)
}

// compareWithNaclBox at the sizes at which something changes, with bodies in
// one piece and in several.
func compareWithNaclBox(t *testing.T) {
	t.Helper()
	random := mathrand.New(mathrand.NewChaCha8([32]byte{3}))
	key := [32]byte{1, 2, 3}
	sizes := []int{4095, 4096, 4097, passSize - 1, passSize, passSize + 1, 3*passSize + 777, 1 << 20}
	for size := range 2*aheadMost + 70 {
		sizes = append(sizes, size)
	}
	nonce := uint64(2)
	client, server := sessions(&key)
	for _, size := range sizes {
		text := make([]byte, size)
		for i := range text {
			text[i] = byte(random.Uint32())
		}
		var parts [][]byte
		for rest := text; len(rest) > 0; {
			n := 1 + random.IntN(min(len(rest), 1+random.IntN(400)))
			if size > 1<<16 || random.IntN(3) == 0 {
				n = len(rest)
			}
			parts, rest = append(parts, rest[:n], nil), rest[n:]
		}
		nonce++
		counter := binary.BigEndian.AppendUint64(nil, nonce)
		want := append([]byte("\x07MESSAGE"), counter...)
		want = box.SealAfterPrecomputation(want, append([]byte{1}, text...), naclNonce(wayThere, string(counter)), &key)
		want = append(AppendHeader([]byte("before"), Header{Size: uint64(len(want))}), want...)

		got := client.Seal([]byte("before"), Header{More: true, Size: 99}, parts...)
		if !bytes.Equal(got, want) {
			t.Fatalf("%d bytes in %d parts: Seal differs from nacl/box", size, len(parts))
		}
		checkOpen(t, server, got[len("before"):], text)
	}
}

// checkOpen opens a frame in both ways.
func checkOpen(t *testing.T, s *Session, frame, text []byte) {
	t.Helper()
	want := Header{More: true, Size: uint64(len(text))}
	_, n, _ := ParseHeader(frame)
	last := s.open.last
	h, plain, err := s.Open([]byte("before"), frame[n:])
	if err != nil || h != want || !bytes.Equal(plain, text) {
		t.Fatalf("%d bytes: Open: %+v, %v, right: %t", len(text), h, err, bytes.Equal(plain, text))
	}
	s.open.last = last
	h, plain, err = s.OpenInPlace(frame[n:])
	if err != nil || h != want || !bytes.Equal(plain, text) || len(text) > 0 && &plain[0] != &frame[n+Overhead] {
		t.Fatalf("%d bytes: OpenInPlace: %+v, %v, right: %t", len(text), h, err, bytes.Equal(plain, text))
	}
}

// TestOpenAppends to what is there, and takes no memory if there is room.
func TestOpenAppends(t *testing.T) {
	client, server := sessions(&[32]byte{1})
	buffer := append(make([]byte, 0, 5000), "before"...)
	frame := client.Seal(nil, Header{}, make([]byte, 4000), []byte("end"))
	allocs := testing.AllocsPerRun(50, func() {
		server.open.last = 2
		_, plain, err := server.Open(buffer, frame[MaxHeader:])
		if err != nil || len(plain) != 4003 || &buffer[:7][6] != &plain[0] || string(buffer) != "before" {
			t.Fatal(len(plain), err)
		}
		frame = client.Seal(frame[:0], Header{}, plain)
		client.seal.last = 2
	})
	if allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	key := [32]byte{1}
	client, server := sessions(&key)
	seal := func(nonce uint64, text string) []byte {
		counter := binary.BigEndian.AppendUint64(nil, nonce)
		body := append([]byte("\x07MESSAGE"), counter...)
		return box.SealAfterPrecomputation(body, []byte(text), naclNonce(wayThere, string(counter)), &key)
	}
	for _, c := range []struct {
		name string
		body []byte
		want error
	}{
		{"nothing", nil, errNoMessage},
		{"another command", []byte("\x05READY.........................................."), errNoMessage},
		{"only the name", []byte("\x07MESSAGE"), errShortMessage},
		{"an empty box", seal(9, ""), errShortMessage},
		{"nonce 0", seal(0, "\x00x"), errNonce},
		{"INITIATE's nonce", seal(2, "\x00x"), errNonce},
		{"flag 4", seal(9, "\x04x"), errInnerFlags},
		{"flag 128", seal(10, "\x80x"), errInnerFlags},
		{"the nonce before", seal(10, "\x00x"), errNonce},
		{"a smaller nonce", seal(9, "\x00x"), errNonce},
		{"its own message", client.Seal(nil, Header{}, []byte("x"))[2:], errNonce},
		{"the other way", append([]byte("\x07MESSAGE"), func() []byte {
			s := newSession(&key, wayBack, 10, wayThere, 2)
			return s.Seal(nil, Header{}, []byte("x"))[2+8:]
		}()...), errBox},
	} {
		h, plain, err := server.Open(nil, c.body)
		if !errors.Is(err, c.want) || plain != nil || h != (Header{}) {
			t.Errorf("%s: %+v, %q, %v, want %v", c.name, h, plain, err, c.want)
		}
	}
	if _, plain, err := server.Open(nil, seal(11, "\x00good")); err != nil || string(plain) != "good" {
		t.Errorf("after all that: %q, %v", plain, err)
	}
	if _, plain, err := server.Open(nil, seal(1<<64-1, "\x00last")); err != nil || string(plain) != "last" {
		t.Errorf("the greatest nonce: %q, %v", plain, err)
	}
}

// TestForged flips a bit of every byte. Nothing is left of the text, and the
// message itself is still accepted.
func TestForged(t *testing.T) {
	t.Parallel()
	client, server := sessions(&[32]byte{1})
	text := bytes.Repeat([]byte("secret"), 100)
	frame := client.Seal(nil, Header{}, text)[MaxHeader:]
	for i := range frame {
		forged := bytes.Clone(frame)
		forged[i] ^= 1 << (i % 8)
		dst := make([]byte, 0, len(text))
		_, plain, err := server.Open(dst, forged)
		if err == nil || plain != nil || !bytes.Equal(dst[:cap(dst)], make([]byte, cap(dst))) {
			t.Fatalf("byte %d: %q, %v, leaves %q", i, plain, err, dst[:cap(dst)])
		}
		if _, plain, err = server.OpenInPlace(forged); err == nil || plain != nil || bytes.Contains(forged, []byte("secret")) {
			t.Fatalf("byte %d in place: %q, %v, leaves %q", i, plain, err, forged)
		}
	}
	if _, plain, err := server.Open(nil, frame); err != nil || !bytes.Equal(plain, text) {
		t.Error(err)
	}
}

// TestBothWays seals and opens at the same time.
func TestBothWays(t *testing.T) {
	t.Parallel()
	client, server := sessions(&[32]byte{1})
	var all sync.WaitGroup
	for _, way := range [][2]*Session{{client, server}, {server, client}} {
		frames := make(chan []byte, 4)
		all.Go(func() {
			defer close(frames)
			for i := range 200 {
				frames <- way[0].Seal(nil, Header{}, fmt.Append(nil, i))
			}
		})
		all.Go(func() {
			n := 0
			for frame := range frames {
				_, plain, err := way[1].Open(nil, frame[2:])
				if err != nil || string(plain) != fmt.Sprint(n) {
					t.Errorf("%q, %v, want %d", plain, err, n)
				}
				n++
			}
		})
	}
	all.Wait()
}
