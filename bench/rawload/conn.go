package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// patience is how long a handshake may take.
	patience = 30 * time.Second
	// lingering is how long the last EOTs may take to go out.
	lingering = 2 * time.Second
)

// conn is a connected socket.
type conn struct{ fd int }

// dial connects from one loopback address to another, given as tcp://HOST:PORT,
// and shakes hands. What follows is read and written without waiting.
func dial(address string, from netip.Addr) (*conn, error) {
	to, err := netip.ParseAddrPort(strings.TrimPrefix(address, "tcp://"))
	if err != nil {
		return nil, err
	}
	if !to.Addr().Is4() || !to.Addr().IsLoopback() {
		return nil, fmt.Errorf("%s is not on this machine's loopback", address)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	c := &conn{fd}
	wait := unix.NsecToTimeval(patience.Nanoseconds())
	for _, do := range []func() error{
		func() error { return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) },
		func() error { return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait) },
		func() error { return unix.Bind(fd, &unix.SockaddrInet4{Addr: from.As4()}) },
		func() error {
			return unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
		},
		func() error { return shakeHands(c) },
		func() error { return unix.SetNonblock(fd, true) },
	} {
		if err := do(); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", address, err), unix.Close(fd))
		}
	}
	return c, nil
}

// Read implements io.Reader. EAGAIN says that nothing has come.
func (c *conn) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(c.fd, b)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// Write implements io.Writer.
func (c *conn) Write(b []byte) (int, error) { return len(b), c.send(b, false) }

// send writes it all, and waits for room if there is none; more tells that the
// rest of a message follows.
func (c *conn) send(b []byte, more bool) error {
	flags := unix.MSG_NOSIGNAL
	if more {
		flags |= unix.MSG_MORE
	}
	for len(b) > 0 {
		n, err := unix.SendmsgN(c.fd, b, nil, nil, flags)
		switch {
		case errors.Is(err, unix.EAGAIN):
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLOUT}}, -1); err != nil && !errors.Is(err, unix.EINTR) {
				return err
			}
		case err != nil && !errors.Is(err, unix.EINTR):
			return err
		}
		b = b[max(0, n):]
	}
	return nil
}

// shut says that nothing more will come from here.
func (c *conn) shut() error {
	if err := unix.Shutdown(c.fd, unix.SHUT_WR); err != nil && !errors.Is(err, unix.ENOTCONN) {
		return err
	}
	return nil
}

// drain reads until the other side has hung up, too, and closes. Until then what
// was written last may still be on its way.
func (c *conn) drain(deadline time.Time) {
	buf := make([]byte, 4<<10)
	for {
		_, err := c.Read(buf)
		left := time.Until(deadline)
		if err != nil && !errors.Is(err, unix.EAGAIN) || left <= 0 {
			break
		}
		if err != nil {
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}, int(left.Milliseconds()))
		}
	}
	_ = unix.Close(c.fd) // the flow is over
}

// loop serves connections, all on one thread.
type loop struct {
	epoll int
	flows []*flow // does not change once it serves
	in    []byte
	out   outbox
}

func newLoop() (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	return &loop{epoll: epoll, in: make([]byte, together)}, err
}

// watch has a flow be served when something comes.
func (l *loop) watch(f *flow) error {
	// The kernel keeps a number for us: the flow's, as we have no use for the fd's.
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, f.conn.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(f.place)})
}

// serve returns when all flows are over, or one fails.
func (l *loop) serve() error {
	events := make([]unix.EpollEvent, 64)
	for left := len(l.flows); left > 0; {
		n, err := unix.EpollWait(l.epoll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("epoll: %w", err)
		}
		for _, event := range events[:max(0, n)] {
			f := l.flows[event.Fd]
			over, err := f.receive(l.in, &l.out)
			if err == nil && over {
				left--
				err = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, f.conn.fd, nil)
			}
			if err != nil {
				return fmt.Errorf("flow %d: %w", f.pair, err)
			}
		}
	}
	return unix.Close(l.epoll)
}
