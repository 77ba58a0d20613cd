//go:build unix

package zmqbridge

import (
	"errors"
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket reads and writes a connection without a copy of its own. One goroutine
// reads, one at a time writes.
type socket struct {
	net.Conn
	raw syscall.RawConn

	// What read and the writes are about: their functions are made once, since a
	// new one for each call would be an allocation.
	reading, writing func(fd uintptr) bool
	room             func() []byte
	idle             func()
	got              int
	readError        error
	iov              *iovecs
	wait             bool
	put              int
	writeError       error
}

func newSocket(c net.Conn) (*socket, error) {
	s := &socket{Conn: c}
	connection, ok := c.(syscall.Conn)
	if !ok {
		return nil, errors.New("the connection has no descriptor")
	}
	var err error
	if s.raw, err = connection.SyscallConn(); err != nil {
		return nil, err
	}
	s.reading, s.writing = s.tryRead, s.tryWrite
	return s, nil
}

// unsent is how many of the bytes that were written the system holds, as the peer has
// not taken them; 0 where that is not known. It may be called concurrently.
func (s *socket) unsent() (n int) {
	if s.raw.Control(func(fd uintptr) { n = unsentBytes(int(fd)) }) != nil {
		return 0 // it is closed
	}
	return n
}

// read waits for bytes and reads them into what room returns; idle is called before
// it waits. Where room returns nil, read returns 0 once there is something to read.
func (s *socket) read(room func() []byte, idle func()) (int, error) {
	s.room, s.idle, s.got, s.readError = room, idle, 0, nil
	if err := s.raw.Read(s.reading); err != nil {
		return 0, err
	}
	return s.got, s.readError
}

func (s *socket) tryRead(fd uintptr) bool {
	b := s.room()
	for {
		n, err := receive(int(fd), b)
		switch {
		case err == unix.EINTR: //nolint:errorlint // the call itself returns it, for every read and write
			continue
		case err == unix.EAGAIN: //nolint:errorlint // likewise
			s.idle()
			return false
		case err != nil:
			s.readError = err
		case n == 0:
			s.readError = io.EOF
		case b != nil:
			s.got = n
		}
		return true
	}
}

// receive reads into b; where that is nil, it looks whether there is something to
// read.
func receive(fd int, b []byte) (int, error) {
	if b != nil {
		return unix.Read(fd, b)
	}
	var one [1]byte
	n, _, err := unix.Recvfrom(fd, one[:], unix.MSG_PEEK)
	return n, err
}

// write writes what fits into the socket, 0 bytes if it is full; with wait, when
// it has room again.
func (s *socket) write(iov *iovecs, wait bool) (int, error) {
	s.iov, s.wait, s.put, s.writeError = iov, wait, 0, nil
	if err := s.raw.Write(s.writing); err != nil {
		return 0, err
	}
	return s.put, s.writeError
}

func (s *socket) tryWrite(fd uintptr) bool {
	for {
		n, err := s.iov.writeTo(int(fd))
		switch {
		case err == unix.EINTR: //nolint:errorlint // the call itself returns it, for every read and write
			continue
		case err == unix.EAGAIN: //nolint:errorlint // likewise
			return !s.wait
		case err != nil:
			s.writeError = err
		default:
			s.put = n
		}
		return true
	}
}
