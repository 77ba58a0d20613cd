package dial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmtp"
)

// TestLoss: what waited on a connection that broke is told, and not sent on the next
// one. Calls return the loss until Next is called, also those that wait meanwhile.
func TestLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := DefaultOptions("tcp://127.0.0.1:5555", zmtp.Client)
		o.Outgoing = Limit{Messages: 4, Bytes: 1 << 20}
		heard := make(chan string, 10)
		n := &network{t: t}
		n.meet = func(attempt int, conn net.Conn) {
			f := n.server(conn)
			if attempt == 1 { // takes one message, and the half of another
				first, _ := f.message()
				heard <- first
				time.Sleep(time.Second)
				_, _ = f.Read(make([]byte, 3))
				_ = f.send("last words")
				return
			}
			for {
				m, err := f.message()
				if err != nil {
					return
				}
				heard <- m
			}
		}
		c := n.start(o)
		send := func(text string) error { return c.SendParts(t.Context(), []byte(text)) }
		for i := range 5 { // one leaves, the others fill the queue
			if err := send(fmt.Sprintf("first %d", i)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		waiting := make(chan error, 1)
		go func() { waiting <- send("waits for room") }()
		if m, err := c.ReceiveParts(t.Context()); err != nil || string(m[0]) != "last words" {
			t.Fatalf("received %q (%v), want what came before the loss", m, err)
		}
		_, lost := c.ReceiveParts(t.Context())
		for _, err := range []error{lost, <-waiting, send("too early")} {
			fault, ok := errors.AsType[*Error](err)
			if !ok || fault.Cause != Lost || fault.Sent != 1 || fault.Unsent != 4 || fault.UnsentBytes != 28 ||
				!strings.Contains(err.Error(), "4 messages were not sent (28 bytes)") {
				t.Errorf("told %v, want that 4 messages were not sent", err)
			}
		}
		time.Sleep(time.Second) // there is another connection now
		synctest.Wait()
		if err := send("still too early"); !isLoss(err) {
			t.Errorf("sending before Next: %v, want the loss", err)
		}
		if err := c.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := send("anew"); err != nil {
			t.Fatal(err)
		}
		if first, second := <-heard, <-heard; first != "first 0" || second != "anew" {
			t.Errorf("the peer has heard %q and %q, want nothing twice", first, second)
		}
	})
}

// TestLostLater: a connection that comes and goes before Next is called is nobody's
// loss, and Next waits for the one after it.
func TestLostLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{t: t}
		n.meet = func(attempt int, conn net.Conn) {
			f := n.server(conn)
			if attempt < 3 {
				_ = f.send(fmt.Sprint("from ", attempt))
				return
			}
			time.Sleep(time.Second)
			_ = f.send("from the last")
			f.discard()
		}
		c := n.start(DefaultOptions("tcp://127.0.0.1:5555", zmtp.Client))
		time.Sleep(time.Minute)
		if m, err := c.ReceiveParts(t.Context()); err != nil || string(m[0]) != "from 1" {
			t.Errorf("received %q (%v), want what came on the first connection", m, err)
		}
		if _, err := c.ReceiveParts(t.Context()); !isLoss(err) {
			t.Errorf("received %v, want the loss", err)
		}
		if err := c.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		if m, err := c.ReceiveParts(t.Context()); err != nil || string(m[0]) != "from the last" {
			t.Errorf("received %q (%v), want what came on the last connection", m, err)
		}
		if err := c.Next(t.Context()); err != nil {
			t.Errorf("Next on a connection that lives: %v", err)
		}
	})
}

// TestRelease: a message is released once, when it has left or is lost, and never if
// Send has returned an error.
func TestRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := DefaultOptions("tcp://127.0.0.1:5555", zmtp.Client)
		o.Outgoing.Messages = 2
		n := &network{t: t}
		n.meet = func(_ int, conn net.Conn) {
			f := n.server(conn)
			_, _ = f.message()
			time.Sleep(time.Second)
		}
		c := n.start(o)
		var counts [4]releases
		send := func(ctx context.Context, i int) error {
			m := &zio.Message{Form: zio.FormFlow, Label: []byte(`{"flow":"DAT"}`), Payload: [][]byte{make([]byte, 10)}}
			m.Carry(&counts[i])
			return c.Send(ctx, m)
		}
		for i := range 3 {
			if err := send(t.Context(), i); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := send(ctx, 3); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("sending into a full queue: %v, want that there was no room in time", err)
		}
		want := func(want ...int32) {
			t.Helper()
			for i := range counts {
				if got := counts[i].Load(); got != want[i] {
					t.Errorf("message %d was released %d times, want %d", i, got, want[i])
				}
			}
		}
		want(1, 0, 0, 0)
		_, err := c.ReceiveParts(t.Context())
		if fault, ok := errors.AsType[*Error](err); !ok || fault.Unsent != 2 {
			t.Errorf("the loss is %v, want two messages that were not sent", err)
		}
		want(1, 1, 1, 0)
	})
}

type releases struct{ atomic.Int32 }

func (r *releases) Release() { r.Add(1) }
func (r *releases) Hold()    { r.Add(-1) }

// TestCloseTells: Close lets what waits go out while linger lasts, and says what did
// not; not so if somebody was told before.
func TestCloseTells(t *testing.T) {
	for _, test := range []struct {
		name   string
		linger time.Duration
		unsent int
	}{
		{"enough time", 5 * time.Second, 0},
		{"too little time", 2 * time.Second, 1},
		{"no time", 0, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var heard atomic.Value
				n := &network{t: t}
				n.meet = func(_ int, conn net.Conn) {
					f := n.server(conn)
					time.Sleep(3 * time.Second)
					m, _ := f.message()
					heard.Store(m)
					f.discard()
				}
				c := n.start(DefaultOptions("tcp://127.0.0.1:5555", zmtp.Client))
				if err := c.SendParts(t.Context(), []byte("last")); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				begin := time.Now()
				err := c.Close(test.linger)
				if took := time.Since(begin); took > test.linger {
					t.Errorf("closing took %v, may take %v", took, test.linger)
				}
				fault, ok := errors.AsType[*Error](err)
				if test.unsent == 0 && err != nil || test.unsent > 0 && (!ok || fault.Unsent != test.unsent) {
					t.Errorf("closed with %v, want %d messages that were not sent", err, test.unsent)
				}
				n.running.Wait()
				if (heard.Load() == "last") != (test.unsent == 0) {
					t.Errorf("the peer has heard %q", heard.Load())
				}
				if err := c.SendParts(t.Context(), []byte("x")); !errors.Is(err, ErrClosed) {
					t.Errorf("sending after Close: %v, want ErrClosed", err)
				}
			})
		})
	}
}

// TestLastWords: what the peer has said before it closed is read, also when the loss is
// met by writing.
func TestLastWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for words, want := range map[string]Cause{
			"":                                  Lost,
			"\x00\x04bye.":                      Lost,
			string(zmtp.AppendError(nil, "no")): Refused,
		} {
			o := heartbeats()
			conn := &closing{words: words, failed: make(chan struct{})}
			s := newSession(t.Context(), &o, conn, zmtp.NewHandshake(&zmtp.Config{Type: zmtp.Client}))
			if err := s.out.push(t.Context(), outbound{frames: []frame{{[]byte("x")}}, size: 1}, 1); err != nil {
				t.Fatal(err)
			}
			fault := s.run(nil)
			if fault.Cause != want || fault.Unsent != 1 {
				t.Errorf("after %q it is lost by %v, want %s", words, fault, want)
			}
			if got := len(s.in.take(nil, 100)); got != strings.Count(words, "bye.") {
				t.Errorf("after %q %d messages were received", words, got)
			}
		}
	})
}

// closing is a connection that takes nothing, whose peer has left some words.
type closing struct {
	net.Conn
	words  string
	failed chan struct{} // closed by the first write
	once   sync.Once
}

func (c *closing) Write([]byte) (int, error) {
	c.once.Do(func() { close(c.failed) })
	return 0, syscall.EPIPE
}

func (c *closing) Read(b []byte) (int, error) {
	<-c.failed
	synctest.Wait() // the failure is known
	n := copy(b, c.words)
	if c.words = c.words[n:]; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (*closing) SetReadDeadline(time.Time) error  { return nil }
func (*closing) SetWriteDeadline(time.Time) error { return nil }
func (*closing) Close() error                     { return nil }

// TestCloseWhileFull: Close does not wait for a peer that goes on sending what nobody
// receives any more.
func TestCloseWhileFull(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		f, err := welcome(conn, &zmtp.Config{Type: zmtp.Server})
		go func() {
			for err := error(nil); err == nil; {
				err = f.send("nobody receives this")
			}
		}()
		_, _ = io.Copy(io.Discard, conn) // until it is closed over there
		done <- errors.Join(err, conn.Close())
	}()
	o := DefaultOptions("tcp://"+l.Addr().String(), zmtp.Client)
	o.Incoming.Messages = 1
	c, err := Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for !c.current.full.Load() {
		runtime.Gosched()
	}
	begin := time.Now()
	if err := c.Close(time.Minute); err != nil || time.Since(begin) > 10*time.Second {
		t.Errorf("closed with %v after %v", err, time.Since(begin))
	}
	if err := errors.Join(<-done, l.Close()); err != nil {
		t.Error(err)
	}
}
