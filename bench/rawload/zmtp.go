package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Flags of a ZMTP frame.
const (
	flagMore    = 0x01
	flagLong    = 0x02
	flagCommand = 0x04
)

const (
	greetingSize = 64
	shortHead    = 2       // of a frame: flags and a byte of size
	longHead     = 9       // flags and eight bytes of size
	shown        = 512     // how much of a frame's body is looked at
	maxSize      = 1 << 32 // of a body
)

// greeting is what a connection begins with: ZMTP 3.1, no security, a client.
func greeting() []byte {
	g := make([]byte, greetingSize)
	g[0], g[9] = 0xff, 0x7f
	g[10], g[11] = 3, 1
	copy(g[12:32], "NULL")
	return g
}

// appendHead appends what stands before a frame's body.
func appendHead(b []byte, flags byte, size int) []byte {
	if size < 1<<8 {
		return append(b, flags, byte(size))
	}
	return binary.BigEndian.AppendUint64(append(b, flags|flagLong), uint64(size))
}

// appendCommand appends a command as a frame.
func appendCommand(b []byte, name string, body []byte) []byte {
	b = appendHead(b, flagCommand, 1+len(name)+len(body))
	b = append(b, byte(len(name)))
	b = append(b, name...)
	return append(b, body...)
}

// ready is the body of a CLIENT's READY.
func ready() []byte {
	const name, value = "Socket-Type", "CLIENT"
	b := append([]byte{byte(len(name))}, name...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(value)))
	return append(b, value...)
}

// shakeHands makes a CLIENT of a new connection, and reads no more than that.
func shakeHands(conn io.ReadWriter) error {
	if _, err := conn.Write(greeting()); err != nil {
		return err
	}
	theirs := make([]byte, greetingSize)
	if _, err := io.ReadFull(conn, theirs); err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	if theirs[0] != 0xff || theirs[9]&1 != 1 || theirs[10] < 3 || !bytes.HasPrefix(theirs[12:], []byte("NULL\x00")) {
		return fmt.Errorf("greeting is %x", theirs)
	}
	if _, err := conn.Write(appendCommand(nil, "READY", ready())); err != nil {
		return err
	}
	head := make([]byte, shortHead, shortHead+shown)
	if _, err := io.ReadFull(conn, head); err != nil {
		return fmt.Errorf("READY: %w", err)
	}
	f := frame{flags: head[0], size: int(head[1]), body: head[shortHead : shortHead+int(head[1])]}
	if _, err := io.ReadFull(conn, f.body); err != nil {
		return fmt.Errorf("READY: %w", err)
	}
	name, _, err := f.command()
	if err == nil && name != "READY" {
		err = fmt.Errorf("instead of READY came %q", name)
	}
	return err
}

// frame is one that has come, or its beginning.
type frame struct {
	flags byte
	size  int    // of its body
	body  []byte // the first of it, up to shown bytes
}

// command cuts a command into its name and what follows. An ERROR is returned as
// one.
func (f frame) command() (name string, body []byte, err error) {
	if f.flags&(flagCommand|flagLong) != flagCommand || f.size > len(f.body) || f.size == 0 || int(f.body[0]) >= f.size {
		return "", nil, fmt.Errorf("no command: a frame of %d bytes with flags %#x", f.size, f.flags)
	}
	name, body = string(f.body[1:1+f.body[0]]), f.body[1+f.body[0]:]
	if name == "ERROR" {
		return name, body, fmt.Errorf("the relay says ERROR %q", body)
	}
	return name, body, nil
}

// stream cuts what a connection sends into frames. Of a frame's body the first
// bytes are shown, the rest is passed over.
type stream struct {
	rest []byte // the beginning of a frame, too little to be shown: less than longHead+shown
	skip int    // bytes to come that have been shown or need not be
}

// cut calls each with the frames of data, which is what the last call has left in
// rest and what has come since. A frame is valid until each returns.
func (s *stream) cut(data []byte, each func(frame) error) error {
	for {
		n := min(s.skip, len(data))
		data, s.skip = data[n:], s.skip-n
		f, whole, err := first(data)
		if err != nil {
			return err
		}
		if whole == 0 {
			s.rest = append(s.rest[:0], data...)
			return nil
		}
		s.skip = whole
		if err := each(f); err != nil {
			return err
		}
	}
}

var errSize = errors.New("size of a frame is beyond all bounds")

// first returns data's first frame and the size of all of it; 0 if too little is
// there to show it.
func first(data []byte) (f frame, whole int, err error) {
	if len(data) < shortHead {
		return f, 0, nil
	}
	f.flags, f.size = data[0], int(data[1])
	head := shortHead
	if f.flags&flagLong != 0 {
		if head = longHead; len(data) < head {
			return f, 0, nil
		}
		size := binary.BigEndian.Uint64(data[1:])
		if size > maxSize {
			return f, 0, errSize
		}
		f.size = int(size)
	}
	n := head + min(f.size, shown)
	if len(data) < n {
		return f, 0, nil
	}
	f.body = data[head:n]
	return f, head + f.size, nil
}
