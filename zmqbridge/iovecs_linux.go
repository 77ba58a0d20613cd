package zmqbridge

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// iovecs is what one call writes.
type iovecs struct {
	list [maxRuns]unix.Iovec
	n    int
}

// maxRuns is how many runs one call writes; the kernel takes 1,024.
const maxRuns = 128

func (v *iovecs) reset() { v.n = 0 }

func (v *iovecs) full() bool { return v.n == maxRuns }

// add adds a run that is not empty. Whoever adds it keeps it alive.
func (v *iovecs) add(b []byte) {
	v.list[v.n].Base = unsafe.SliceData(b)
	v.list[v.n].SetLen(len(b))
	v.n++
}

func (v *iovecs) clear() { clear(v.list[:v.n]) }

// writeTo is unix.Writev without its allocations.
func (v *iovecs) writeTo(fd int) (int, error) {
	n, _, e := unix.Syscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&v.list[0])), uintptr(v.n))
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}
