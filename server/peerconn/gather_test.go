package peerconn

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/zioflow/gateway/internal/pki"
)

// countedConn counts what is written.
type countedConn struct {
	net.Conn
	writes, bytes atomic.Int64
}

func (c *countedConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	c.bytes.Add(int64(len(b)))
	return c.Conn.Write(b)
}

// config is that of both sides.
func config(t *testing.T) *tls.Config {
	t.Helper()
	ca, err := pki.NewCA("test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Peer("node", "node.test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: ca.Pool(), MinVersion: tls.VersionTLS13}
}

// connected are both ends of an encrypted connection; below is the client's below TLS.
func connected(t *testing.T) (client, server net.Conn, below *countedConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	secure := Credentials(config(t)).Clone()
	var wrong error
	var accepting sync.WaitGroup
	accepting.Go(func() {
		var conn net.Conn
		if conn, wrong = l.Accept(); wrong == nil {
			server, _, wrong = secure.ServerHandshake(conn)
		}
	})
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	below = &countedConn{Conn: conn}
	var info credentials.AuthInfo
	client, info, err = secure.ClientHandshake(context.Background(), "node.test", below)
	accepting.Wait()
	if err := errors.Join(err, wrong); err != nil {
		t.Fatal(err)
	}
	if info.AuthType() != "tls" {
		t.Errorf("gRPC is told that the connection is %q", info.AuthType())
	}
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	return client, server, below
}

// TestRecordsTogether: what gRPC writes at once goes into the network at once, is whole at the
// other end, and nothing stays behind.
func TestRecordsTogether(t *testing.T) {
	t.Parallel()
	client, server, below := connected(t)
	for _, size := range []int{1, 9, 16 << 10, 16<<10 + 1, 32 << 10, batch - 1, batch} {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
		before := below.writes.Load()
		if n, err := client.Write(b); err != nil || n != size {
			t.Fatalf("%d of %d bytes were written: %v", n, size, err)
		}
		if n := below.writes.Load() - before; n != 1 {
			t.Errorf("%d bytes took %d writes", size, n)
		}
		got := make([]byte, size)
		if _, err := io.ReadFull(server, got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, b) {
			t.Errorf("%d bytes came otherwise", size)
		}
	}
}

// TestMoreThanFits: what is longer than there is room for goes out in order, in few writes.
func TestMoreThanFits(t *testing.T) {
	t.Parallel()
	client, server, below := connected(t)
	b := make([]byte, 3*batch+5)
	for i := range b {
		b[i] = byte(i >> 10)
	}
	before := below.writes.Load()
	var wrong error
	var writing sync.WaitGroup
	writing.Go(func() { _, wrong = client.Write(b) })
	got := make([]byte, len(b))
	_, err := io.ReadFull(server, got)
	writing.Wait()
	if err := errors.Join(err, wrong); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, b) {
		t.Error("the bytes came otherwise")
	}
	if n := below.writes.Load() - before; n > 4 {
		t.Errorf("it took %d writes", n)
	}
}

// TestCloseSaysSo: the peer of a connection that is closed reads all, and then its end, which
// nobody between them can have made.
func TestCloseSaysSo(t *testing.T) {
	t.Parallel()
	client, server, _ := connected(t)
	if _, err := client.Write(make([]byte, 40<<10)); err != nil {
		t.Fatal(err)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if b, err := io.ReadAll(server); err != nil || len(b) != 40<<10 {
		t.Errorf("%d bytes came, and %v", len(b), err)
	}
	if _, err := client.Write([]byte("late")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a write after that: %v", err)
	}
}

// TestCloseBreaksWriteOff: it does not wait for a peer that reads nothing, and the write ends.
func TestCloseBreaksWriteOff(t *testing.T) {
	t.Parallel()
	client, _, below := connected(t)
	done := make(chan error)
	go func() {
		b := make([]byte, batch)
		for {
			if _, err := client.Write(b); err != nil {
				done <- err
				return
			}
		}
	}()
	for stuck := int64(-1); stuck != below.bytes.Load(); time.Sleep(100 * time.Millisecond) { // until the network takes no more
		stuck = below.bytes.Load()
	}
	_ = client.Close() // says what it has broken off
	select {
	case err := <-done:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("the write ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the write goes on")
	}
}

// TestDeadline: a write that does not get on ends at its deadline, and no other is tried.
func TestDeadline(t *testing.T) {
	t.Parallel()
	client, _, _ := connected(t)
	if err := client.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	b, err := make([]byte, batch), error(nil)
	for err == nil {
		_, err = client.Write(b)
	}
	var late net.Error
	if !errors.As(err, &late) || !late.Timeout() {
		t.Errorf("the write ended with %v", err)
	}
	if err := client.SetWriteDeadline(time.Time{}); err != nil {
		t.Error(err)
	}
	if _, err := client.Write(b[:1]); err == nil {
		t.Error("something was written behind half a record")
	}
}
