package zre

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/zioflow/gateway/internal/crowd"
	"github.com/zioflow/gateway/zmtp"
	"github.com/zioflow/gateway/zre/peers"
	"github.com/zioflow/gateway/zre/wire"
)

// Bounds of what comes on a connection.
const (
	// connBuffer is what a connection holds to read into, in bytes.
	connBuffer = 4 << 10
	// maxContent and maxParts bound what follows a message's first part: it is read past
	// and not kept.
	maxContent = 64 << 20
	maxParts   = 1024
	// maxCommand bounds a command of ZMTP, in bytes. PING and PONG are far below.
	maxCommand = 1 << 10
	// pongTimeout is how long a PONG may take to be written.
	pongTimeout = time.Second
)

// inConn is a connection that came in. All but conn's Close belongs to its goroutine.
type inConn struct {
	inbox   *inbox
	visitor *crowd.Visitor
	conn    net.Conn
	from    netip.Addr
	in      *bufio.Reader
}

// serve reads until the connection ends.
func (c *inConn) serve() {
	var in peers.In
	n := c.inbox.node
	defer func() {
		_ = c.conn.Close()
		c.inbox.leave(c, in)
		if in != 0 {
			n.tell(peers.Dropped{In: in})
		}
	}()
	defer n.recover("a connection of a node has ended")
	uuid, err := c.shakeHands()
	if err != nil {
		return
	}
	in = c.inbox.enter(c)
	if !n.tell(peers.Opened{In: in, UUID: uuid, From: c.from}) {
		return
	}
	for {
		first, err := c.message()
		if err != nil {
			return
		}
		e := peers.Received{In: in}
		e.Message, e.Err = wire.ParseMessage(first)
		if !n.tell(e) || e.Err != nil {
			return
		}
	}
}

// shakeHands takes the connection to the point where messages come.
func (c *inConn) shakeHands() (uuid wire.UUID, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return uuid, err
	}
	h := zmtp.NewHandshake(c.inbox.config)
	out, rest := h.Start(), []byte(nil)
	for buffer := make([]byte, connBuffer); !h.Done(); {
		if _, err := c.conn.Write(out); err != nil {
			return uuid, err
		}
		size, err := c.conn.Read(buffer)
		if size == 0 && err != nil {
			return uuid, err
		}
		var used int
		used, out, err = h.Receive(buffer[:size])
		rest = append(rest, buffer[used:size]...)
		if err != nil {
			_, _ = c.conn.Write(out)
			return uuid, err
		}
	}
	if _, err := c.conn.Write(out); err != nil {
		return uuid, err
	}
	uuid, _ = parseIdentity(h.Peer().Identity)
	c.in = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(rest), c.conn), connBuffer)
	return uuid, c.conn.SetDeadline(time.Time{})
}

// message reads a message and returns its first part. What is too large of that is cut,
// and then no message any more.
func (c *inConn) message() (first []byte, err error) {
	content := 0
	for part := 0; ; part++ {
		h, err := c.header()
		if err != nil {
			return nil, err
		}
		if h.Command {
			part--
			if err := c.command(h.Size); err != nil {
				return nil, err
			}
			continue
		}
		if h.Size > maxContent || part >= maxParts {
			return nil, fmt.Errorf("a part of %d bytes is number %d", h.Size, part)
		}
		if content += int(h.Size); content > maxContent {
			return nil, fmt.Errorf("a message of %d bytes", content)
		}
		if part > 0 {
			_, err = c.in.Discard(int(h.Size))
		} else {
			first, err = c.first(int(h.Size))
		}
		if err != nil || !h.More {
			return first, err
		}
	}
}

// first reads a first part, into memory that grows as it comes: no more of it than shows
// that it is too large.
func (c *inConn) first(size int) ([]byte, error) {
	var b bytes.Buffer
	if _, err := io.CopyN(&b, c.in, int64(min(size, wire.MaxMessage+1))); err != nil {
		return nil, err
	}
	_, err := c.in.Discard(size - b.Len())
	return b.Bytes(), err
}

// header reads a frame's header.
func (c *inConn) header() (zmtp.Header, error) {
	for n := 2; ; n = zmtp.MaxHeader {
		b, short := c.in.Peek(n)
		h, size, err := zmtp.ParseHeader(b)
		switch {
		case err != nil:
			return h, err
		case size > 0:
			_, err := c.in.Discard(size)
			return h, err
		case short != nil:
			return h, short
		}
	}
}

// command deals with a command of ZMTP that came in the traffic.
func (c *inConn) command(size uint64) error {
	if size > maxCommand {
		return fmt.Errorf("a command of %d bytes", size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(c.in, body); err != nil {
		return err
	}
	name, data, err := zmtp.ParseCommand(body)
	if err != nil || name != "PING" {
		return err // what is not known is passed over
	}
	_, context, err := zmtp.ParsePing(data)
	if err != nil {
		return err
	}
	if err := c.conn.SetWriteDeadline(time.Now().Add(pongTimeout)); err != nil {
		return err
	}
	_, err = c.conn.Write(zmtp.AppendPong(nil, context))
	return err
}
