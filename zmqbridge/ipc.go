package zmqbridge

import (
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
