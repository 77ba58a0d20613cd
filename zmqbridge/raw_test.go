package zmqbridge_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmtp"
)

// patient is how long a test waits that would fail otherwise: the machine may have
// others to serve.
const patient = time.Minute

// raw is a peer on a plain socket. It sends what it is told to, byte for byte, and
// reads only when it is told to. One goroutine writes, one reads.
type raw struct {
	t *testing.T
	net.Conn
	kind    zmtp.SocketType
	session *zmtp.Session // nil without CURVE
	unread  []byte        // read, and not used yet
	mute    bool          // answers no PING
	pings   int           // that came
	pongs   [][]byte      // contexts of the PONGs that came
}

// dialing is how a raw peer connects. What is empty has a default.
type dialing struct {
	zmtp.Config
	address string       // that of the rig for the socket type
	from    string       // the peer's own IP address
	minor   byte         // of ZMTP 3
	greet   func([]byte) // changes the greeting
}

// connect opens a TCP or ipc connection, and no more.
func connect(address, from string) (net.Conn, error) {
	network, rest, _ := strings.Cut(address, "://")
	if network == "ipc" {
		return net.Dial("unix", rest)
	}
	d := net.Dialer{Timeout: patient}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	return d.DialContext(context.Background(), network, rest)
}

// handshakes takes a connection to the point where messages are exchanged.
func handshakes(t *testing.T, d dialing) (*raw, error) {
	conn, err := connect(d.address, d.from)
	if err != nil {
		return nil, err
	}
	p := &raw{t: t, Conn: conn, kind: d.Type}
	if err := p.shake(d); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return p, nil
}

func (p *raw) shake(d dialing) error {
	if err := p.SetDeadline(time.Now().Add(patient)); err != nil {
		return err
	}
	handshake := zmtp.NewHandshake(&d.Config)
	greeting := handshake.Start()
	greeting[11] = d.minor
	if d.greet != nil {
		d.greet(greeting)
	}
	if _, err := p.Write(greeting); err != nil {
		return err
	}
	for {
		used, out, err := handshake.Receive(p.unread)
		p.unread = p.unread[used:]
		if len(out) > 0 {
			if _, writeErr := p.Write(out); err == nil {
				err = writeErr
			}
		}
		switch {
		case err != nil:
			return err
		case handshake.Done():
			p.session = handshake.Session()
			return p.SetDeadline(time.Time{})
		}
		if err := p.fill(); err != nil {
			return fmt.Errorf("waiting for %s: %w", handshake.Waiting(), err)
		}
	}
}

// fill reads something.
func (p *raw) fill() error {
	if cap(p.unread)-len(p.unread) < 4<<10 {
		p.unread = append(make([]byte, 0, 2*len(p.unread)+256<<10), p.unread...)
	}
	n, err := p.Read(p.unread[len(p.unread):cap(p.unread)])
	p.unread = p.unread[:len(p.unread)+n]
	if n > 0 {
		return nil
	}
	return err
}

func (p *raw) single() bool { return p.kind == zmtp.Client }

// frame is a frame as the peer sends it, sealed where there is CURVE.
func (p *raw) frame(to []byte, h zmtp.Header, body []byte) []byte {
	if p.session != nil {
		return p.session.Seal(to, h, body)
	}
	h.Size = uint64(len(body))
	return append(zmtp.AppendHeader(to, h), body...)
}

// parts is a message of the given frames.
func (p *raw) parts(to []byte, parts ...[]byte) []byte {
	for i, part := range parts {
		to = p.frame(to, zmtp.Header{More: i < len(parts)-1}, part)
	}
	return to
}

// frames is the message's frames as this kind of peer sends them.
func (p *raw) frames(m *zio.Message) [][]byte {
	if p.single() {
		return [][]byte{m.AppendEncoded(nil)}
	}
	return append([][]byte{nil, m.AppendPrefix(nil), m.AppendCoord(nil)}, m.Payload...)
}

// wire is the message as this peer sends it.
func (p *raw) wire(to []byte, m *zio.Message) []byte { return p.parts(to, p.frames(m)...) }

// ping is a PING as this peer sends it.
func (p *raw) ping(to []byte, ttl time.Duration, context string) []byte {
	b := zmtp.AppendPing(nil, ttl, []byte(context))
	if p.session == nil {
		return append(to, b...)
	}
	h, n, _ := zmtp.ParseHeader(b)
	return p.session.Seal(to, h, b[n:])
}

func (p *raw) write(b []byte) {
	p.t.Helper()
	if err := p.SetWriteDeadline(time.Now().Add(patient)); err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.Write(b); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

func (p *raw) send(m *zio.Message) {
	p.t.Helper()
	p.write(p.wire(nil, m))
}

func (p *raw) say(label string, payload ...[]byte) {
	p.t.Helper()
	p.send(&zio.Message{Form: zio.FormFlow, Label: []byte(label), Payload: payload})
}

// next reads one frame.
func (p *raw) next() (h zmtp.Header, body []byte, err error) {
	for {
		h, n, err := zmtp.ParseHeader(p.unread)
		if err != nil {
			return h, nil, err
		}
		if n > 0 && uint64(len(p.unread)-n) >= h.Size {
			body := p.unread[n : n+int(h.Size)]
			p.unread = p.unread[n+int(h.Size):]
			if p.session != nil {
				return p.session.OpenInPlace(body)
			}
			return h, body, nil
		}
		if err := p.fill(); err != nil {
			return h, nil, err
		}
	}
}

// receiveWithin returns the next message. It answers PINGs, and remembers PONGs.
func (p *raw) receiveWithin(d time.Duration) (*zio.Message, error) {
	if err := p.SetReadDeadline(time.Now().Add(d)); err != nil {
		return nil, err
	}
	var parts [][]byte
	for {
		h, body, err := p.next()
		if err != nil {
			return nil, err
		}
		if h.Command {
			if err := p.command(body); err != nil {
				return nil, err
			}
			continue
		}
		if parts = append(parts, body); !h.More {
			return p.decode(parts)
		}
	}
}

func (p *raw) decode(parts [][]byte) (*zio.Message, error) {
	m := new(zio.Message)
	switch {
	case p.single() && len(parts) == 1:
		return m, m.Decode(parts[0])
	case !p.single() && len(parts[0]) == 0:
		return m, m.DecodeParts(parts[1:])
	}
	return nil, fmt.Errorf("a message of %d frames in the wrong form", len(parts))
}

func (p *raw) command(body []byte) error {
	name, data, err := zmtp.ParseCommand(body)
	switch {
	case err != nil:
		return err
	case name == "PONG":
		p.pongs = append(p.pongs, bytes.Clone(data))
	case name == "PING":
		p.pings++
		if p.mute {
			return nil
		}
		_, context, err := zmtp.ParsePing(data)
		if err != nil {
			return err
		}
		pong := zmtp.AppendPong(nil, context)
		if p.session != nil {
			h, n, _ := zmtp.ParseHeader(pong)
			pong = p.session.Seal(nil, h, pong[n:])
		}
		_, err = p.Write(pong)
		return err
	}
	return nil
}

func (p *raw) receive() *zio.Message {
	p.t.Helper()
	m, err := p.receiveWithin(patient)
	if err != nil {
		p.t.Fatalf("receive: %v", err)
	}
	return m
}

// want takes the next message, of that type, whose label must contain the words.
func (p *raw) want(typ zio.Type, words ...string) *zio.Message {
	p.t.Helper()
	m := p.receive()
	head, err := zio.Peek(m.Label)
	if err != nil || head.Type != typ {
		p.t.Fatalf("%s came, want %v", m.Label, typ)
	}
	for _, word := range words {
		if !strings.Contains(string(m.Label), word) {
			p.t.Fatalf("%s came, want %q in it", m.Label, word)
		}
	}
	return m
}

// wantClosed reads what comes until the connection is closed, and returns the
// messages among it.
func (p *raw) wantClosed() (last []*zio.Message) {
	p.t.Helper()
	for {
		m, err := p.receiveWithin(patient)
		if err != nil {
			var network net.Error
			if errors.As(err, &network) && network.Timeout() {
				p.t.Fatal("the connection was not closed")
			}
			return last
		}
		last = append(last, m)
	}
}

// ends tells whether an EOT for that reason is among the messages.
func ends(messages []*zio.Message, reason string) bool {
	for _, m := range messages {
		if strings.Contains(string(m.Label), `"error":"`+reason+`"`) {
			return true
		}
	}
	return false
}
