package dial

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"

	"github.com/zioflow/gateway/zmtp"
)

// network is one in which a test decides what becomes of each attempt to connect.
type network struct {
	t       *testing.T
	running sync.WaitGroup
	meet    func(attempt int, conn net.Conn) // the peer; nil refuses

	mu       sync.Mutex
	attempts int // guarded by mu
}

func (n *network) dial(_ context.Context, _, _ string) (net.Conn, error) {
	n.mu.Lock()
	n.attempts++
	attempt := n.attempts
	n.mu.Unlock()
	if n.meet == nil {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	near, far := net.Pipe()
	n.running.Go(func() {
		defer func() { _ = far.Close() }()
		n.meet(attempt, far)
	})
	return near, nil
}

// start begins to connect; the test's end closes.
func (n *network) start(o Options) *Conn {
	n.t.Helper()
	c, err := newConn(o, n.dial)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		if err := c.Close(0); err != nil && !isLoss(err) {
			n.t.Error(err)
		}
		n.running.Wait()
	})
	return c
}

func isLoss(err error) bool {
	_, ok := errors.AsType[*Error](err)
	return ok
}

// far is the peer of a connection, after its handshake.
type far struct {
	net.Conn
	rest []byte
	// version is that of the handshake's peer.
	cipher *zmtp.Session
}

// welcome takes the handshake as a server.
func welcome(conn net.Conn, config *zmtp.Config) (*far, error) {
	config.AsServer = true
	h := zmtp.NewHandshake(config)
	out := h.Start()
	var rest []byte
	buffer := make([]byte, 4096)
	for !h.Done() {
		n, err := conn.Read(buffer) // a pipe's other end writes first
		if err != nil {
			return nil, err
		}
		used, more, err := h.Receive(buffer[:n])
		rest = append(rest, buffer[used:n]...)
		if _, writeErr := conn.Write(append(out, more...)); err == nil {
			err = writeErr
		}
		if err != nil {
			return nil, err
		}
		out = nil
	}
	return &far{Conn: conn, rest: rest, cipher: h.Session()}, nil
}

// server is welcome for a SERVER without CURVE.
func (n *network) server(conn net.Conn) *far {
	f, err := welcome(conn, &zmtp.Config{Type: zmtp.Server})
	if err != nil {
		n.t.Errorf("the peer's handshake: %v", err)
		return &far{Conn: conn}
	}
	return f
}

// Read returns first what has come behind the handshake.
func (f *far) Read(b []byte) (int, error) {
	if len(f.rest) > 0 {
		n := copy(b, f.rest)
		f.rest = f.rest[n:]
		return n, nil
	}
	return f.Conn.Read(b)
}

// next reads a frame; the body of a command begins with its name's length.
func (f *far) next() (zmtp.Header, []byte, error) {
	var b []byte
	for {
		h, n, err := zmtp.ParseHeader(b)
		if err != nil {
			return h, nil, err
		}
		if n > 0 {
			body := make([]byte, h.Size)
			_, err := io.ReadFull(f, body)
			return h, body, err
		}
		b = append(b, 0)
		if _, err := io.ReadFull(f, b[len(b)-1:]); err != nil {
			return h, nil, err
		}
	}
}

// message reads until a frame that is no command comes, and answers PINGs if that is
// wanted.
func (f *far) message() (string, error) {
	for {
		h, body, err := f.next()
		if err != nil || !h.Command {
			return string(body), err
		}
	}
}

// send writes a message of one frame.
func (f *far) send(body string) error {
	_, err := f.Write(append(zmtp.AppendHeader(nil, zmtp.Header{Size: uint64(len(body))}), body...))
	return err
}

// discard reads to the end.
func (f *far) discard() { _, _ = io.Copy(io.Discard, f) }
