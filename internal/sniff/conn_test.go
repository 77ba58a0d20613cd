package sniff_test

import (
	"errors"
	"io"
	"net"
	"testing"

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
