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

// peerAddress is where messages for one peer go. It counts what has left libzmq for
// that peer, of the messages that libzmq tracks. It may be used concurrently.
type peerAddress struct{ c *C.peer_address }

func newPeerAddress(w *wire, a address) (*peerAddress, error) {
	var name []byte
	if !w.server {
		name = a.nameOf()
	}
	c := C.peer_address_new(C.uint32_t(a.number), unsafe.Pointer(unsafe.SliceData(name)), C.size_t(len(name)))
	if c == nil {
		return nil, syscall.ENOMEM
	}
	t := &peerAddress{c}
	runtime.AddCleanup(t, func(c *C.peer_address) { C.peer_address_drop(c) }, c)
	return t, nil
}

// left returns the messages and bytes that have left.
func (t *peerAddress) left() (messages, bytes int64) {
	messages = atomic.LoadInt64((*int64)(&t.c.messages))
	bytes = atomic.LoadInt64((*int64)(&t.c.bytes))
	runtime.KeepAlive(t)
	return messages, bytes
}
