//go:build cgo && libzmq

package libzmq

/*
#include "wire.h"
*/
import "C"

import (
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// target is where messages for one peer go, and the tally of what has left
// libzmq for it, of the messages that were held. It may be used concurrently.
type target struct{ c *C.target }

func newTarget(w *wire, a address) (*target, error) {
	var name []byte
	if !w.server {
		name = a.nameOf()
	}
	c := C.target_new(C.uint32_t(a.number), unsafe.Pointer(unsafe.SliceData(name)), C.size_t(len(name)))
	if c == nil {
		return nil, syscall.ENOMEM
	}
	t := &target{c}
	runtime.AddCleanup(t, func(c *C.target) { C.target_drop(c) }, c)
	return t, nil
}

// left answers the messages and bytes that have left.
func (t *target) left() (messages, bytes int64) {
	messages = atomic.LoadInt64((*int64)(&t.c.messages))
	bytes = atomic.LoadInt64((*int64)(&t.c.bytes))
	runtime.KeepAlive(t)
	return messages, bytes
}
