//go:build linux

package zmqbridge

import (
	"bytes"
	"context"
	"net"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/zmtp"
)

// end is a connection behind its handshake whose other end is here, too: bytes that are
// put in are read by the caller's goroutine, so that nothing is left to chance. Its peer
// gives in a flow.
type end struct {
	t      testing.TB
	conn   *conn
	far    *os.File
	offers chan uint64
	taken  []*zio.Message // by the taker, copies
	put    uint64         // bytes
	unread []byte         // of what was sent to the peer
	opener *zmtp.Session  // for that; nil without CURVE
	pongs  []string       // that the peer was sent
	eots   int            // likewise
}

// Find implements routing.Factory: it makes offers, of which a test may take the first.
func (e *end) Find(_ context.Context, r *routing.Request) error {
	o, err := r.Offer()
	if err == nil {
		select {
		case e.offers <- o.CID:
		default:
		}
	}
	return err
}

// Deliver implements transport.Link for the taker.
func (e *end) Deliver(d transport.Delivery) error {
	if d.Type == zio.DAT {
		m := d.Message.WithLabel(bytes.Clone(d.Message.Label))
		e.taken = append(e.taken, m)
	}
	d.Message.Release()
	return nil
}

func (*end) Flush()                    {}
func (*end) Queued() (_, _ int64)      { return 0, 0 }
func (*end) Ended(flow.Reason, string) {}

// socketPair is two connected sockets: one for a conn, one for the test.
func socketPair(t testing.TB) (net.Conn, *os.File) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file, far := os.NewFile(uintptr(fds[0]), "near"), os.NewFile(uintptr(fds[1]), "far")
	near, err := net.FileConn(file)
	_ = file.Close()
	if err != nil {
		t.Fatal(err)
	}
	return near, far
}

// newEnd makes a connection whose peer has been paid for any number of DATs.
func newEnd(t testing.TB, kind zmtp.SocketType, most int, sessions [2]*zmtp.Session) *end {
	limits := broker.DefaultOptions()
	limits.MaxMessage, limits.MaxCredit = most, 1<<40
	b, err := broker.New(limits)
	if err != nil {
		t.Fatal(err)
	}
	e := &end{t: t, offers: make(chan uint64, 1), opener: sessions[1]}
	if _, err := b.AddRoute(routing.Route{Name: "test", Factory: e}); err != nil {
		t.Fatal(err)
	}
	o := DefaultOptions(limits)
	o.HighWater = 1 << 20
	near, far := socketPair(t)
	e.far = far
	endpoint := newEndpoint(&hub{broker: b, sampler: logs.NewSampler(nil, logs.Options{})}, kind, o)
	if e.conn, err = newConn(&endpoint.site, endpoint, near, true); err != nil {
		t.Fatal(err)
	}
	e.conn.zmtp, e.conn.session = &zmtp.Peer{Major: 3, Minor: 1}, sessions[0]
	e.conn.attach()
	e.open(b)
	e.conn.site.running.Wait() // what it was sent by then has been written
	return e
}

// open opens a flow in which the connection's peer gives.
func (e *end) open(b *broker.Broker) {
	taker := b.Attach(e, transport.PeerInfo{Transport: "test"})
	say := func(p *broker.Peer, label []byte, err error) {
		if err != nil {
			e.t.Fatal(err)
		}
		p.Receive(&zio.Message{Form: zio.FormFlow, Label: label})
	}
	label, err := zio.RewriteBot([]byte(`{"flow":"BOT"}`), zio.Inject, 1<<40, 0)
	say(taker, label, err)
	label, err = zio.RewriteBot([]byte(`{"flow":"BOT"}`), zio.Extract, 1<<40, <-e.offers)
	say(e.conn.peer, label, err)
	label, err = zio.Supply(nil, zio.PAY, 1<<40)
	say(taker, label, err)
}

// feed puts bytes in and has the connection read them all.
func (e *end) feed(b []byte) error {
	for len(b) > 0 {
		piece := b[:min(len(b), 32<<10)] // what surely fits into the socket
		b = b[len(piece):]
		if _, err := e.far.Write(piece); err != nil {
			e.t.Fatal(err)
		}
		for e.put += uint64(len(piece)); e.conn.bytesIn.Load() < e.put; {
			if err := e.conn.in.next(); err != nil {
				return err
			}
		}
	}
	return nil
}

// sent reads what the peer was sent, once all of it has been written.
func (e *end) sent() {
	written := make(chan struct{})
	go func() {
		e.conn.site.running.Wait() // for an outbox's own goroutine, which may wait for this one
		close(written)
	}()
	b := make([]byte, 64<<10)
	for over := false; ; {
		n, _, err := unix.Recvfrom(int(e.far.Fd()), b, unix.MSG_DONTWAIT)
		if n > 0 && err == nil {
			e.unread = append(e.unread, b[:n]...)
			continue
		}
		if over {
			break
		}
		select {
		case <-written:
			over = true // but for what came since
		default:
			runtime.Gosched()
		}
	}
	for {
		h, n, err := zmtp.ParseHeader(e.unread)
		if err != nil {
			e.t.Fatalf("the peer was sent %v", err)
		}
		if n == 0 || uint64(len(e.unread)-n) < h.Size {
			return
		}
		body := e.unread[n : n+int(h.Size)]
		e.unread = e.unread[n+int(h.Size):]
		if e.opener != nil {
			if h, body, err = e.opener.Open(nil, body); err != nil {
				e.t.Fatalf("the peer was sent %v", err)
			}
		}
		switch {
		case bytes.HasPrefix(body, []byte("\x04PONG")):
			e.pongs = append(e.pongs, string(body[5:]))
		case !h.Command && bytes.Contains(body, []byte(`"flow":"EOT"`)):
			e.eots++
		}
	}
}

// close ends the connection and checks that it holds nothing.
func (e *end) close() {
	e.conn.in.drop()
	e.conn.peer.Leave("the test is over")
	e.conn.out.close()
	_ = e.conn.socket.Close()
	_ = e.far.Close()
	e.conn.site.hub.broker.Close(flow.Draining, "the test is over")
	if in, out := e.conn.account.Held(), e.conn.output.Held(); in != 0 || out != 0 {
		e.t.Errorf("%d bytes of what was read are held, and %d to be sent", in, out)
	}
	if n := e.conn.site.hub.broker.Held(); n != 0 {
		e.t.Errorf("%d bytes are held", n)
	}
}
