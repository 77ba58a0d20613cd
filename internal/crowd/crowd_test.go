package crowd_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/zioflow/gateway/internal/crowd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// from is a connection that comes from a host.
type from struct {
	net.Conn
	host string
}

func (f from) RemoteAddr() net.Addr { return address(f.host + ":1") }

type address string

func (a address) Network() string { return "test" }
func (a address) String() string  { return string(a) }

// enter has a connection from a host enter, and returns both its ends.
func enter(t *testing.T, c *crowd.Crowd, host string) (*crowd.Visitor, *crowd.Conn, net.Conn) {
	t.Helper()
	far, near := net.Pipe()
	t.Cleanup(func() { _, _ = far.Close(), near.Close() })
	conn := from{near, host}
	v := c.Enter(conn)
	return v, v.Conn(conn), far
}

// open tells whether the far end of a connection finds it open.
func open(far net.Conn) bool {
	_ = far.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := far.Read(make([]byte, 1))
	return errors.Is(err, os.ErrDeadlineExceeded)
}

func wantCount(t *testing.T, c *crowd.Crowd, strangers, known int, closed uint64) {
	t.Helper()
	if s, k, gone := c.Count(); s != strangers || k != known || gone != closed {
		t.Errorf("%d strangers, %d known, %d closed; want %d, %d and %d", s, k, gone, strangers, known, closed)
	}
}

var limits = crowd.Limits{Strangers: 3, Known: 2, Patience: time.Second, Calls: 1, Burst: 2}

// TestTheOldestGoes: of too many strangers the oldest of the host that has most is sent
// away, and who is known stays.
func TestTheOldestGoes(t *testing.T) {
	t.Parallel()
	c := crowd.New(limits)
	known, _, knownFar := enter(t, c, "a")
	known.Know()
	known.Know()
	_, _, lone := enter(t, c, "b")
	_, _, oldest := enter(t, c, "a")
	_, _, second := enter(t, c, "a")
	wantCount(t, c, 3, 1, 0)
	for _, far := range []net.Conn{knownFar, lone, oldest, second} {
		if !open(far) {
			t.Fatal("a connection was closed with room for all")
		}
	}
	_, _, newest := enter(t, c, "c")
	if open(oldest) {
		t.Error("the oldest of the host with most stays")
	}
	for name, far := range map[string]net.Conn{"known": knownFar, "another host's": lone, "second": second, "newest": newest} {
		if !open(far) {
			t.Errorf("the %s connection was closed", name)
		}
	}
	wantCount(t, c, 3, 1, 1)
}

// TestLeaving: whoever leaves makes room, once.
func TestLeaving(t *testing.T) {
	t.Parallel()
	c := crowd.New(limits)
	v, conn, _ := enter(t, c, "a")
	known, knownConn, _ := enter(t, c, "a")
	known.Know()
	for range 2 {
		_, _ = conn.Close(), knownConn.Close()
	}
	wantCount(t, c, 0, 0, 0)
	if v.Know(); !v.Gone() {
		t.Error("who has left is there")
	}
	wantCount(t, c, 0, 0, 0)
}

// TestFull: those who are known may fill the room; then nobody enters.
func TestFull(t *testing.T) {
	t.Parallel()
	c := crowd.New(limits)
	for range limits.Known {
		v, _, _ := enter(t, c, "a")
		v.Know()
	}
	late, conn, far := enter(t, c, "b")
	if !late.Gone() || open(far) {
		t.Error("one more has entered")
	}
	_ = conn.Close()
	wantCount(t, c, 0, 2, 1)
}

// TestAskingTooOften: a stranger who does is refused, and loses his connection if he
// does not read that.
func TestAskingTooOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := crowd.New(limits)
		v, conn, far := enter(t, c, "a")
		known, _, _ := enter(t, c, "a")
		known.Know()
		if first, second := v.Ask(), v.Ask(); !first || !second {
			t.Fatal("may not ask twice at once")
		}
		time.Sleep(time.Second)
		if !v.Ask() || !open(far) {
			t.Fatal("may not ask once more a second later")
		}
		if v.Ask() || !open(far) {
			t.Error("may ask too often, or was closed for it")
		}
		go func() { _, _ = conn.Write([]byte("x")) }()
		time.Sleep(50 * time.Millisecond)
		if v.Ask() {
			t.Error("may ask too often while he is written to")
		}
		time.Sleep(60 * time.Millisecond)
		if v.Ask() || open(far) {
			t.Error("who asks too often and does not read is still connected")
		}
		for range 10 {
			if !known.Ask() {
				t.Fatal("who is known may not ask")
			}
		}
	})
}

// TestNotReading: a stranger who does not read loses his connection, who is known may
// take his time.
func TestNotReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := crowd.New(limits)
		v, conn, far := enter(t, c, "a")
		if _, err := conn.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("writing to who does not read: %v", err)
		}
		v.Know()
		written := make(chan error)
		go func() { _, err := conn.Write([]byte("x")); written <- err }()
		time.Sleep(time.Hour)
		if _, err := io.ReadFull(far, make([]byte, 1)); err != nil {
			t.Error(err)
		}
		if err := <-written; err != nil {
			t.Errorf("writing to who is known and reads late: %v", err)
		}
	})
}

// TestListener: what it accepts has entered, and leaves when it is closed.
func TestListener(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := crowd.New(limits)
	l := c.Listen(inner)
	defer func() { _ = l.Close() }()
	var all []net.Conn
	for range limits.Strangers + 1 {
		far, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		near, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, far, near)
	}
	wantCount(t, c, limits.Strangers, 0, 1)
	for _, conn := range all {
		_ = conn.Close()
	}
	wantCount(t, c, 0, 0, 1)
}
