package zmqbridge

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// pathLock keeps an ipc path to one gateway: libzmq lets a second bind take the
// path over without a word.
type pathLock struct {
	path string
	file *os.File
}

// lockPath locks the path of an ipc address; nil for any other address.
func lockPath(address string) (*pathLock, error) {
	path, isIPC := strings.CutPrefix(address, "ipc://")
	if !isIPC || path == "*" || strings.HasPrefix(path, "@") {
		return nil, nil
	}
	file, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("another process serves this path: %w", err)
	}
	return &pathLock{path, file}, nil
}

// restrict lets only the gateway's user and group connect.
func (l *pathLock) restrict() error {
	if l == nil {
		return nil
	}
	return os.Chmod(l.path, 0o660)
}

// release frees the path. The lock file stays: to remove it would let two
// processes lock files of the same name.
func (l *pathLock) release() error { return l.file.Close() }
