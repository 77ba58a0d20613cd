package zmqbridge

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/zioflow/gateway/internal/filelock"
)

// PathLock keeps an ipc path to one gateway: a second bind would take the path over
// without a word.
type PathLock struct {
	path string
	lock *filelock.Lock
}

// LockPath locks the path of an ipc address; nil for any other address, and for ipc
// addresses that have no path. It follows no symbolic link.
func LockPath(address string) (*PathLock, error) {
	path, isIPC := strings.CutPrefix(address, "ipc://")
	if !isIPC || path == "*" || strings.HasPrefix(path, "@") {
		return nil, nil
	}
	lock, err := filelock.Make(path + ".lock")
	if errors.Is(err, filelock.ErrHeld) {
		return nil, fmt.Errorf("another process serves this path: %w", err)
	}
	if err != nil {
		return nil, err
	}
	return &PathLock{path, lock}, nil
}

// Clear removes the socket that a crash has left at the path. What is no socket may be
// somebody's, and stays: that is an error. A nil lock does nothing.
func (l *PathLock) Clear() error {
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
	return os.Remove(l.path)
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

// Restrict lets only the gateway's user and group connect. A nil lock does nothing.
func (l *PathLock) Restrict() error {
	if l == nil {
		return nil
	}
	return os.Chmod(l.path, 0o660)
}

// Release frees the path, and removes what locked it.
func (l *PathLock) Release() error { return l.lock.Remove() }
