//go:build unix && !linux

package zmqbridge

import "golang.org/x/sys/unix"

func (v *iovecs) writeTo(fd int) (int, error) { return unix.Writev(fd, v.list[:v.n]) }
