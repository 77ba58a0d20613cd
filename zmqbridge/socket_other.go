//go:build !unix

package zmqbridge

import (
	"io"
	"net"
)

// socket reads and writes a connection where there is no way to try without
// waiting: what is written goes out on a goroutine of the connection's own. One
// goroutine reads, one at a time writes.
type socket struct{ net.Conn }

func newSocket(c net.Conn) (*socket, error) { return &socket{c}, nil }

// unsent is not known here.
func (s *socket) unsent() int { return 0 }

// read waits for bytes and reads them into what room returns. Where that is nil it
// returns 0.
func (s *socket) read(room func() []byte, _ func()) (int, error) {
	b := room()
	if b == nil {
		return 0, nil
	}
	n, err := s.Conn.Read(b)
	if n == 0 && err == nil {
		err = io.ErrNoProgress
	}
	return n, err
}

// write writes, with wait; without, nothing fits.
func (s *socket) write(iov *iovecs, wait bool) (int, error) {
	if !wait {
		return 0, nil
	}
	buffers := net.Buffers(append([][]byte(nil), iov.list[:iov.n]...))
	n, err := buffers.WriteTo(s.Conn)
	return int(n), err
}
