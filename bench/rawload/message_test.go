package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zioflow/gateway/broker/zio"
)

// pair is a connection, and its other end.
func pair(t *testing.T) (*conn, *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	other := os.NewFile(uintptr(fds[1]), "other end")
	t.Cleanup(func() { _, _ = unix.Close(fds[0]), other.Close() })
	return &conn{fds[0]}, other
}

// unframed returns the messages in what was sent.
func unframed(t *testing.T, sent []byte) (all []zio.Message) {
	t.Helper()
	for len(sent) > 0 {
		f, whole, err := first(sent)
		if err != nil || whole == 0 || whole > len(sent) {
			t.Fatalf("a frame of %d bytes in %d, %v", whole, len(sent), err)
		}
		var m zio.Message
		if err := m.Decode(bytes.Clone(sent[whole-f.size : whole])); err != nil {
			t.Fatal(err)
		}
		all, sent = append(all, m), sent[whole:]
	}
	return all
}

// DATs are what zio makes of them, and are read as what they are; large ones
// too, and those that do not fit into the kernel's buffers.
func TestDats(t *testing.T) {
	t.Parallel()
	for _, size := range []int{8, 100, 254, 255, 4096, copied, copied + 1, 3 << 20} {
		d, now := newDat(size), time.UnixMicro(5)
		to, other := pair(t)
		received := make(chan []byte)
		go func() {
			sent, _ := io.ReadAll(other)
			received <- sent
		}()
		var out outbox
		for number := range uint64(10) {
			if err := out.dat(d, stamp(7, 20+number, now), 100+number, to); err != nil {
				t.Fatal(err)
			}
		}
		if err := out.flush(to); err != nil {
			t.Fatal(err)
		}
		if err := to.shut(); err != nil {
			t.Fatal(err)
		}
		sent := <-received
		messages := unframed(t, sent)
		if len(messages) != 10 {
			t.Fatalf("%d bytes: %d messages", size, len(messages))
		}
		for i, m := range messages {
			if want := stamp(7, 20+uint64(i), now); m.Coord != want || string(m.Label) != `{"flow":"DAT"}` || m.Size() != size {
				t.Errorf("%d bytes: message %d is %+v of %d bytes", size, i, m.Coord, m.Size())
			}
		}
		f, _, _ := first(sent)
		if got, err := parse(f.body, f.size); err != nil || got.number != 100 || got.payload != size || string(got.label) != `{"flow":"DAT"}` {
			t.Errorf("%d bytes: the first was read as %+v, %v", size, got, err)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	whole := (&zio.Message{Form: zio.FormFlow, Label: []byte("{}"), Payload: [][]byte{make([]byte, 300)}}).AppendEncoded(nil)
	if m, err := parse(whole, len(whole)); err != nil || m.payload != 300 || string(m.label) != "{}" {
		t.Errorf("read %+v, %v", m, err)
	}
	if m, err := parse(make([]byte, 8), 8); err != nil || !m.hello {
		t.Errorf("8 bytes are %+v, %v", m, err)
	}
	long := (&zio.Message{Form: zio.FormFlow, Label: bytes.Repeat([]byte{' '}, shown)}).AppendEncoded(nil)
	two := (&zio.Message{Form: zio.FormFlow, Payload: [][]byte{make([]byte, 20), make([]byte, 20)}}).AppendEncoded(nil)
	for name, test := range map[string]struct {
		head []byte
		size int
		want string
	}{
		"nothing":          {nil, 0, "prefix"},
		"not ZIO":          {[]byte("\x08GET / HT"), 9, "prefix is"},
		"a short prefix":   {[]byte("\x03ZIO"), 4, "prefix is"},
		"no coord":         {whole[:11], 11, "coord"},
		"a short coord":    {append(bytes.Clone(whole[:11]), 1, 0), 13, "coord is of 1"},
		"an endless label": {long[:shown], len(long), "prefix"},
		"cut short":        {whole, len(whole) - 1, "payload is of 300 bytes"},
		"two parts":        {two, len(two), "payload is of 20 bytes"},
		"no number":        {[]byte("\x08ZIO0FLOW\x18" + strings.Repeat("x", 24) + "\x01y"), 36, "payload is of 1"},
	} {
		if m, err := parse(test.head, test.size); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %+v, %v; want %q", name, m, err, test.want)
		}
	}
}
