package dial

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/zioflow/gateway/zmtp"
)

// raw is a frame.
func raw(h zmtp.Header, body string) string {
	h.Size = uint64(len(body))
	return string(zmtp.AppendHeader(nil, h)) + body
}

// TestFaults: bytes that a connection is given up for, and what is said of them.
func TestFaults(t *testing.T) {
	more := zmtp.Header{More: true}
	for _, test := range []struct {
		name  string
		sent  string
		cause Cause
		words string
	}{
		{"reserved flags", "\x40\x00", Protocol, "reserved flags"},
		{"a message that is announced too large", string(zmtp.AppendHeader(nil, zmtp.Header{Size: 1 << 40})), TooLarge, "1099511627776 bytes"},
		{"a message just too large", raw(zmtp.Header{}, strings.Repeat("x", 1001)), TooLarge, "1001 bytes or more, 1000 are allowed"},
		{"parts that are too large together", raw(more, strings.Repeat("x", 600)) + raw(more, strings.Repeat("x", 401)), TooLarge, "1001 bytes"},
		{"too many parts", strings.Repeat(raw(more, ""), 6), TooLarge, "more than 5 parts"},
		{"a long command", raw(zmtp.Header{Command: true}, strings.Repeat("x", 1025)), Protocol, "command of 1025 bytes"},
		{"a command without a name", raw(zmtp.Header{Command: true}, "\x00"), Protocol, "no command name"},
		{"ERROR", string(zmtp.AppendError(nil, "you are not wanted")), Refused, `"you are not wanted"`},
		{"half a message", "\x00\x05abc", Lost, "has closed it"},
		{"half a header", "\x02\x00", Lost, "has closed it"},
		{"nothing", "", Lost, "has closed it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := heartbeats()
				o.Type = zmtp.Dealer
				o.MaxMessage, o.MaxParts = 1000, 5
				n := &network{t: t}
				n.meet = func(attempt int, conn net.Conn) {
					if attempt == 1 {
						_, _ = welcome(conn, &zmtp.Config{Type: zmtp.Router})
						_, _ = io.WriteString(conn, test.sent)
					}
				}
				_, err := n.start(o).ReceiveParts(t.Context())
				if fault, ok := errors.AsType[*Error](err); !ok || fault.Cause != test.cause || !strings.Contains(fault.Detail, test.words) {
					t.Errorf("%v, want %s, %q", err, test.cause, test.words)
				}
			})
		})
	}
}

// TestLimitsAreReached: a message as large as it may be, of as many parts, comes in.
func TestLimitsAreReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := heartbeats()
		o.Type = zmtp.Dealer
		o.MaxMessage, o.MaxParts = 1000, 5
		n := &network{t: t}
		n.meet = func(_ int, conn net.Conn) {
			_, _ = welcome(conn, &zmtp.Config{Type: zmtp.Router})
			_, _ = io.WriteString(conn, strings.Repeat(raw(zmtp.Header{More: true}, ""), 4)+raw(zmtp.Header{}, strings.Repeat("x", 1000)))
		}
		parts, err := n.start(o).ReceiveParts(t.Context())
		if err != nil || len(parts) != 5 || len(parts[4]) != 1000 {
			t.Errorf("received %d parts: %v", len(parts), err)
		}
	})
}

// TestMemoryComesWithBytes: of a large message that is announced and does not come,
// no more is held than a few times what has come.
func TestMemoryComesWithBytes(t *testing.T) {
	const came = 200 << 10
	o := DefaultOptions("tcp://127.0.0.1:5555", zmtp.Client)
	r := &reader{session: &session{options: &o}, in: bufio.NewReaderSize(io.LimitReader(zeros{}, came), readBuffer)}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := r.body(1 << 30)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, io.EOF) || took > 6*came {
		t.Errorf("%d KiB of 1 GiB took %d KiB (%v)", came>>10, took>>10, err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestBody: a body comes whole, whatever the pieces are in which it does.
func TestBody(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, readBuffer, firstPiece, firstPiece + 1, growth*firstPiece + 1, 1 << 20} {
		want := make([]byte, size)
		_, _ = rand.Read(want)
		r := &reader{in: bufio.NewReaderSize(bytes.NewReader(append(want, "next"...)), readBuffer)}
		got, err := r.body(size)
		rest, _ := io.ReadAll(r.in)
		if err != nil || !bytes.Equal(got, want) || string(rest) != "next" {
			t.Errorf("%d bytes: %v, equal %t, then %q", size, err, bytes.Equal(got, want), rest)
		}
	}
}

// curvePair are the keys of both ends.
func curvePair(t *testing.T) (client, server *zmtp.CurveKeys) {
	t.Helper()
	newKeys := func() *zmtp.CurveKeys {
		key, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return &zmtp.CurveKeys{Public: [32]byte(key.PublicKey().Bytes()), Secret: [32]byte(key.Bytes())}
	}
	client, server = newKeys(), newKeys()
	client.Server = server.Public
	return client, server
}

// TestCurveFaults: the same under CURVE, where what is inside a frame counts.
func TestCurveFaults(t *testing.T) {
	long := strings.Repeat("x", 1001)
	for _, test := range []struct {
		name  string
		sent  func(*zmtp.Session) []byte
		cause Cause
		words string
	}{
		{"clear text", func(*zmtp.Session) []byte { return []byte(raw(zmtp.Header{}, long)) }, Protocol, "no MESSAGE"},
		{"a short frame", func(*zmtp.Session) []byte { return []byte(raw(zmtp.Header{}, "x")) }, Protocol, "CURVE does not have"},
		{"MORE outside", func(*zmtp.Session) []byte { return []byte(raw(zmtp.Header{More: true}, long)) }, Protocol, "CURVE does not have"},
		{"another key", func(s *zmtp.Session) []byte {
			frame := s.Seal(nil, zmtp.Header{}, []byte("x"))
			frame[len(frame)-1] ^= 1
			return frame
		}, Protocol, "box does not open"},
		{"a message that is too large", func(s *zmtp.Session) []byte {
			return s.Seal(nil, zmtp.Header{}, []byte(strings.Repeat("x", 2000)))
		}, TooLarge, "2000 bytes"},
		{"parts that are too large together", func(s *zmtp.Session) []byte {
			return s.Seal(s.Seal(nil, zmtp.Header{More: true}, []byte(long[:900])), zmtp.Header{More: true}, []byte(long[:901]))
		}, TooLarge, "1801 bytes"},
		{"a long command", func(s *zmtp.Session) []byte {
			return s.Seal(nil, zmtp.Header{Command: true}, []byte(long+long[:100]))
		}, Protocol, "command of 1101 bytes"},
		{"ERROR", func(s *zmtp.Session) []byte {
			return s.Seal(nil, zmtp.Header{Command: true}, []byte("\x05ERROR\x02no"))
		}, Refused, `"no"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := heartbeats()
				client, server := curvePair(t)
				o.Curve, o.MaxMessage = client, 1500
				n := &network{t: t}
				n.meet = func(attempt int, conn net.Conn) {
					if attempt > 1 {
						return
					}
					f, err := welcome(conn, &zmtp.Config{Type: zmtp.Server, Curve: server})
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = conn.Write(test.sent(f.cipher))
				}
				_, err := n.start(o).ReceiveParts(t.Context())
				if fault, ok := errors.AsType[*Error](err); !ok || fault.Cause != test.cause || !strings.Contains(fault.Detail, test.words) {
					t.Errorf("%v, want %s, %q", err, test.cause, test.words)
				}
			})
		})
	}
}

// FuzzFrames: whatever comes after a handshake ends in an error, and of what came no
// byte is made up.
func FuzzFrames(f *testing.F) {
	for _, seed := range []string{
		raw(zmtp.Header{}, "one"), raw(zmtp.Header{More: true}, "one") + raw(zmtp.Header{}, "two"),
		string(zmtp.AppendPing(nil, 1, []byte("context"))), string(zmtp.AppendError(nil, "no")), "\x02\x00\x00\x00\x00\xff\xff\xff\xff\x00",
	} {
		f.Add([]byte(seed))
	}
	o := DefaultOptions("tcp://127.0.0.1:5555", zmtp.Dealer)
	o.MaxMessage = 1 << 16
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &session{options: &o, conn: nobody{}, urgent: make(chan struct{}, 1), done: make(chan struct{})}
		s.in.limit = Limit{Messages: 1 << 20, Bytes: 1 << 30}
		s.ctx, s.stop = context.WithCancel(t.Context())
		s.read(data)
		_ = s.conclude()
		if s.lost() == nil || s.ctx.Err() == nil {
			t.Errorf("the connection was not lost after %q", data)
		}
		size := 0
		for _, e := range s.in.take(nil, 1<<40) {
			for _, part := range e.item {
				size += len(part)
			}
		}
		if size > len(data) {
			t.Errorf("%d bytes were received of %d", size, len(data))
		}
	})
}

// nobody is a connection whose peer has left.
type nobody struct{ net.Conn }

func (nobody) Read([]byte) (int, error) { return 0, io.EOF }

// TestPanic: what panics on a connection's path ends that connection, and says where.
func TestPanic(t *testing.T) {
	o := DefaultOptions("tcp://127.0.0.1:5555", zmtp.Dealer)
	for _, path := range []func(*session){
		func(s *session) { s.read(nil) }, // there is no connection to read from
		func(s *session) {
			s.cipher = new(zmtp.Session)
			s.out.force(outbound{frames: []frame{{make([]byte, 1)}}}, 1)
			s.conn = nil
			s.write()
		},
	} {
		s := &session{options: &o, urgent: make(chan struct{}, 1), done: make(chan struct{})}
		s.ctx, s.stop = context.WithCancel(t.Context())
		path(s)
		fault := s.conclude()
		if fault.Cause != Panic || s.ctx.Err() == nil || !strings.Contains(fault.Unwrap().Error(), "dial.(*session)") {
			t.Errorf("it ended with %v, %v", fault, fault.Unwrap())
		}
	}
}
