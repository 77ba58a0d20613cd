//go:build cgo && libzmq

package libzmq

import "golang.org/x/sys/unix"

// eventFD wakes a goroutine that polls in C.
type eventFD int

func newEventFD() (eventFD, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	return eventFD(fd), err
}

func (fd eventFD) signal() { _, _ = unix.Write(int(fd), []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

func (fd eventFD) reset() {
	var count [8]byte
	_, _ = unix.Read(int(fd), count[:]) // EAGAIN: was not signalled
}

func (fd eventFD) close() error { return unix.Close(int(fd)) }
