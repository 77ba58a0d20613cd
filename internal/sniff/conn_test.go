package sniff_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"

	"github.com/zioflow/gateway/internal/sniff"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// endless is a connection from which something always comes.
type endless struct{ net.Conn }

func (endless) Read(b []byte) (int, error) { return copy(b, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), nil }

// TestHonestConnectionsCostNothing: a look at one flag.
func TestHonestConnectionsCostNothing(t *testing.T) {
	c := sniff.NewConn(endless{}, sniff.IsZMTP)
	b := make([]byte, 24)
	if n := testing.AllocsPerRun(100, func() {
		if n, err := c.Read(b); n != len(b) || err != nil || string(b[:3]) != "PRI" {
			t.Fatalf("read %d, %v: %q", n, err, b)
		}
	}); n != 0 {
		t.Errorf("a read allocates %v times", n)
	}
}

// TestConnIsASocket: of a socket the options can be seen, of what is none that
// is an error. Who has said nothing has not said anything foreign.
func TestConnIsASocket(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	dialled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = accepted.Close() }()
	c := sniff.NewConn(accepted, func(first []byte) bool {
		t.Errorf("was asked about %q", first)
		return true
	})
	if _, err := c.SyscallConn(); err != nil {
		t.Errorf("of a socket: %v", err)
	}
	_ = dialled.Close()
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("read %d, %v", n, err)
	}
	one, other := net.Pipe()
	if _, err := sniff.NewConn(one, sniff.IsZMTP).SyscallConn(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("of a pipe: %v", err)
	}
	_, _ = one.Close(), other.Close()
}

// TestAwait: what has been waited for is read all the same, in pieces as well; what is foreign is
// the end.
func TestAwait(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{"PRI * HTTP/2.0\r\n\r\nSM": "PRI * HTTP/2.0\r\n\r\nSM", "\xff\x00": ""} {
		one, other := net.Pipe()
		go func() {
			_, _ = io.WriteString(other, said)
			_ = other.Close()
		}()
		c := sniff.NewConn(one, sniff.IsZMTP)
		if err := c.Await(); (err == nil) != (want != "") || err != nil && !errors.Is(err, io.EOF) {
			t.Errorf("of %q: %v", said, err)
		} else if err == nil {
			if got, err := io.ReadAll(iotest.OneByteReader(c)); string(got) != want || err != nil {
				t.Errorf("of %q was read %q, %v", said, got, err)
			}
		}
		_ = one.Close()
	}
}

// TestAwaitTakesAllThatCame: who refuses a peer closes a connection in which nothing is left, or the
// peer would be reset and read no reason.
func TestAwaitTakesAllThatCame(t *testing.T) {
	t.Parallel()
	one, other := net.Pipe()
	defer func() { _, _ = one.Close(), other.Close() }()
	said := make(chan error, 1)
	go func() {
		_, err := other.Write(make([]byte, 600)) // returns when all is read
		said <- err
	}()
	if err := sniff.NewConn(one, sniff.IsZMTP).Await(); err != nil {
		t.Fatal(err)
	}
	if err := <-said; err != nil {
		t.Error(err)
	}
}
