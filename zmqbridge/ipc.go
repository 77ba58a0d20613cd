package zmqbridge

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// PathLock keeps an ipc path to one gateway: a second bind would take the path over
// without a word.
type PathLock struct {
	path string
	file *os.File
}

// LockPath locks the path of an ipc address; nil for any other address, and for ipc
// addresses that have no path. It follows no symbolic link.
func LockPath(address string) (*PathLock, error) {
	path, isIPC := strings.CutPrefix(address, "ipc://")
	if !isIPC || path == "*" || strings.HasPrefix(path, "@") {
		return nil, nil
	}
	file, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR|noFollow, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(file); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("another process serves this path: %w", err)
	}
	return &PathLock{path, file}, nil
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

// Release frees the path. The lock file stays: to remove it would let two
// processes lock files of the same name.
func (l *PathLock) Release() error { return l.file.Close() }
