package unixsocket

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/zioflow/gateway/internal/filelock"
)

// Lock keeps the path of a socket to one gateway: a second bind would take the path over
// without a word. A nil lock locks nothing.
type Lock struct {
	path string
	lock *filelock.Lock
}

// LockPath locks a path. It follows no symbolic link.
func LockPath(path string) (*Lock, error) {
	lock, err := filelock.Make(path + ".lock")
	if errors.Is(err, filelock.ErrHeld) {
		return nil, errors.New("another process serves this path")
	}
	if err != nil {
		return nil, err
	}
	return &Lock{path, lock}, nil
}

// Clear removes the socket that a crash has left at the path. One that somebody serves, who
// need not know of locks, and what is no socket stay: that is an error.
func (l *Lock) Clear() error {
	if l == nil {
		return nil
	}
	switch info, err := os.Lstat(l.path); {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != os.ModeSocket:
		return fmt.Errorf("%s is no socket, but %s: it is not removed", l.path, kindOf(info.Mode()))
	}
	if served(l.path) {
		return errors.New("another process serves this path: it is not removed")
	}
	return os.Remove(l.path)
}

// serveLook bounds how long it is tried to connect to a socket.
const serveLook = time.Second

// served tells whether somebody serves a socket, or may do so: it has refused no connection.
func served(path string) bool {
	conn, err := net.DialTimeout("unix", path, serveLook)
	if err != nil {
		return !errors.Is(err, refused) && !errors.Is(err, syscall.ENOENT)
	}
	_ = conn.Close()
	return true
}

// kindOf is what stands at a path, in words.
func kindOf(mode os.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode.IsRegular():
		return "a file"
	case mode.Type() == os.ModeSymlink:
		return "a symbolic link"
	}
	return "of type " + mode.Type().String()
}

// Restrict lets only the gateway's user and group connect.
func (l *Lock) Restrict() error {
	if l == nil {
		return nil
	}
	return os.Chmod(l.path, 0o660)
}

// Release frees the path, and removes what locked it.
func (l *Lock) Release() error {
	if l == nil {
		return nil
	}
	return l.lock.Remove()
}
