//go:build soak

package soak

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/native"
)

// A wirePeer speaks ZMTP 3 on a plain TCP connection, without libzmq: it costs
// one descriptor and little memory, and it reads only when it is told to.
type wirePeer struct {
	conn   net.Conn
	in     *bufio.Reader
	dealer bool
}

// ZMTP's frame flags.
const (
	wireMore    = 1
	wireLong    = 2
	wireCommand = 4
)

// wireGreeting is that of ZMTP 3.0 with the mechanism NULL.
var wireGreeting = func() []byte {
	b := make([]byte, 64)
	b[0], b[9], b[10] = 0xff, 0x7f, 3
	copy(b[12:], "NULL")
	return b
}()

// wireReady is the command that ends a NULL handshake.
func wireReady(socketType string) []byte {
	body := append([]byte("\x05READY\x0bSocket-Type"), 0, 0, 0, byte(len(socketType)))
	body = append(body, socketType...)
	return append([]byte{wireCommand, byte(len(body))}, body...)
}

// rawDial connects to an address of the gateway, from an address of its own, so
// that tens of thousands of connections find ports.
func rawDial(address string, from int) (*net.TCPConn, error) {
	d := net.Dialer{
		Timeout:   patience,
		LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+from%250))},
	}
	conn, err := d.Dial("tcp", strings.TrimPrefix(address, "tcp://"))
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// dialWire connects as CLIENT or DEALER.
func dialWire(via transport, address string, from int) (*wirePeer, error) {
	conn, err := rawDial(address, from)
	if err != nil {
		return nil, err
	}
	p := &wirePeer{conn: conn, in: bufio.NewReaderSize(conn, 512), dealer: via == viaDealer}
	if err := p.shakeHands(string(via)); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("handshake: %w", err)
	}
	return p, nil
}

func (p *wirePeer) shakeHands(socketType string) error {
	if err := p.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := p.conn.Write(append(bytes.Clone(wireGreeting), wireReady(socketType)...)); err != nil {
		return err
	}
	if _, err := io.ReadFull(p.in, make([]byte, len(wireGreeting))); err != nil {
		return err
	}
	flags, body, err := p.frame()
	if err != nil || flags&wireCommand == 0 || !bytes.HasPrefix(body, []byte("\x05READY")) {
		return errors.Join(err, fmt.Errorf("not READY: %q", body))
	}
	return p.conn.SetDeadline(time.Time{})
}

func (p *wirePeer) frame() (flags byte, body []byte, err error) {
	head := make([]byte, 9)
	if _, err := io.ReadFull(p.in, head[:2]); err != nil {
		return 0, nil, err
	}
	size := uint64(head[1])
	if head[0]&wireLong != 0 {
		if _, err := io.ReadFull(p.in, head[2:]); err != nil {
			return 0, nil, err
		}
		size = binary.BigEndian.Uint64(head[1:])
	}
	body = make([]byte, size)
	_, err = io.ReadFull(p.in, body)
	return head[0], body, err
}

// wireHead is a frame's flags and size.
func wireHead(flags byte, size int) []byte {
	if size < 256 {
		return []byte{flags, byte(size)}
	}
	return binary.BigEndian.AppendUint64([]byte{flags | wireLong}, uint64(size))
}

// send writes the message; the payload goes out from where it is.
func (p *wirePeer) send(m *zio.Message) error {
	var out net.Buffers
	if p.dealer {
		parts := append([][]byte{nil, m.AppendPrefix(nil), m.AppendCoord(nil)}, m.Payload...)
		for i, part := range parts {
			more := byte(wireMore)
			if i == len(parts)-1 {
				more = 0
			}
			out = append(out, wireHead(more, len(part)), part)
		}
	} else {
		b := m.AppendEncoded(make([]byte, 0, m.EncodedSize()))
		out = append(out, wireHead(0, len(b)), b)
	}
	_, err := out.WriteTo(p.conn)
	return err
}

func (p *wirePeer) recv(wait time.Duration) (*message, error) {
	var parts [][]byte
	for deadline := time.Now().Add(wait); ; {
		if err := p.conn.SetReadDeadline(deadline); err != nil {
			return nil, err
		}
		if _, err := p.in.Peek(1); err != nil {
			return nil, wireError(err)
		}
		deadline = time.Now().Add(patience) // for the rest
		if err := p.conn.SetReadDeadline(deadline); err != nil {
			return nil, err
		}
		flags, body, err := p.frame()
		switch {
		case err != nil:
			return nil, err
		case flags&wireCommand != 0:
			if err := p.pong(body); err != nil {
				return nil, err
			}
			deadline = time.Now().Add(wait)
			continue
		}
		if parts = append(parts, body); flags&wireMore == 0 {
			return p.decode(parts)
		}
	}
}

func (p *wirePeer) pong(command []byte) error {
	const ping = "\x04PING"
	if !bytes.HasPrefix(command, []byte(ping)) || len(command) < len(ping)+2 {
		return nil
	}
	body := append([]byte("\x04PONG"), command[len(ping)+2:]...)
	_, err := p.conn.Write(append([]byte{wireCommand, byte(len(body))}, body...))
	return err
}

func (p *wirePeer) decode(parts [][]byte) (*message, error) {
	m := new(zio.Message)
	err := zio.ErrMalformed
	switch {
	case !p.dealer && len(parts) == 1:
		err = m.Decode(parts[0])
	case p.dealer && len(parts[0]) == 0:
		err = m.DecodeParts(parts[1:])
	}
	if err != nil {
		return nil, err
	}
	return newMessage(m)
}

func wireError(err error) error {
	var e net.Error
	if errors.As(err, &e) && e.Timeout() {
		return native.ErrTimeout
	}
	return err
}

// close resets the connection, so that no port is kept for it.
func (p *wirePeer) close() {
	_ = p.conn.(*net.TCPConn).SetLinger(0)
	_ = p.conn.Close()
}

func (p *wirePeer) leave() { _ = p.conn.Close() }
