// Package unixsocket serves unix domain sockets: paths by which only this machine reaches a
// gateway, and of that only the users whom the socket's mode lets in.
package unixsocket

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
)

// Prefix is what the address of a socket begins with, as gRPC has it.
const Prefix = "unix:"

// maxPath is how many bytes a path may have; some systems take a few less.
const maxPath = 107

// PathOf returns the path of an address unix:PATH or unix:///PATH, and false for another
// kind of address. What is wrong with it Check says.
func PathOf(address string) (path string, is bool) {
	path, is = strings.CutPrefix(address, Prefix)
	if absolute, slashes := strings.CutPrefix(path, "//"); is && slashes {
		path = absolute
	}
	return path, is
}

// Check says what is wrong with the address of a socket, as far as that can be seen without
// binding it.
func Check(address string) error {
	path, _ := PathOf(address)
	switch {
	case path == "" || strings.HasSuffix(path, "/"):
		return errors.New("want unix:PATH")
	case strings.HasPrefix(path, "@"):
		return errors.New("want unix:PATH: an abstract socket has no mode, so everybody could connect")
	case strings.HasPrefix(address, Prefix+"//") && !strings.HasPrefix(path, "/"):
		return errors.New("behind unix:// the path begins with a slash: want unix:///PATH, or unix:PATH")
	case len(path) > maxPath:
		return fmt.Errorf("the path has %d bytes, the system takes %d", len(path), maxPath)
	}
	return nil
}

// AddressOf is how clients write the address of a path.
func AddressOf(path string) string { return Prefix + path }

// Listen binds a path, which stays locked for as long as it is bound: another gateway
// cannot take it over. A socket that a crash has left is replaced; one that somebody serves,
// and what is no socket, is not. The mode is 0660: who connects is of the gateway's user or
// group. Closing removes the socket.
func Listen(path string) (_ net.Listener, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	lock, err := LockPath(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Release())
		}
	}()
	if err := lock.Clear(); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := lock.Restrict(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &listener{Listener: Named(l), lock: lock}, nil
}

// listener is a socket with the lock on its path.
type listener struct {
	net.Listener
	lock    *Lock
	closing sync.Once
}

// Close implements net.Listener.
func (l *listener) Close() error {
	err := l.Listener.Close() // the path goes before the lock
	l.closing.Do(func() { err = errors.Join(err, l.lock.Release()) })
	return err
}

// Named has the connections of a socket tell where they have come from: a program that
// connects has no name of its own. Of other listeners nothing changes.
func Named(l net.Listener) net.Listener {
	if _, is := l.Addr().(*net.UnixAddr); !is {
		return l
	}
	return &named{l}
}

type named struct{ net.Listener }

// Accept implements net.Listener.
func (l *named) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	unix, is := c.(*net.UnixConn)
	if !is {
		return c, nil
	}
	return &conn{unix, peer{path: l.Addr().String(), process: processOf(unix)}}, nil
}

// conn is a connection that tells where it has come from.
type conn struct {
	*net.UnixConn
	peer peer
}

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr { return c.peer }

// peer is who has connected to a socket.
type peer struct {
	path    string
	process int // 0 where the system does not tell
}

// Network implements net.Addr.
func (peer) Network() string { return "unix" }

// String implements net.Addr: the address, and the process.
func (p peer) String() string {
	if p.process == 0 {
		return AddressOf(p.path)
	}
	return fmt.Sprintf("%s,pid=%d", AddressOf(p.path), p.process)
}
