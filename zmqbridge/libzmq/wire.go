//go:build cgo && libzmq

package libzmq

/*
#cgo pkg-config: libzmq
#cgo CFLAGS: -Wall
#include <stdlib.h>
#include "wire.h"

#cgo noescape wire_send
#cgo nocallback wire_send
#cgo noescape wire_receive
#cgo nocallback wire_receive
#cgo noescape wire_wait
#cgo nocallback wire_wait
*/
import "C"

import (
	"fmt"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	zmq "github.com/pebbe/zmq4/draft"
)

// keepMemory has C's allocator, the whole process's, keep what large messages
// have left behind. To call it again does nothing.
func keepMemory() { C.wire_keep_memory() }

// batch is how many messages a call into libzmq receives or sends at the most,
// and so how many of one direction keep the other waiting.
const batch = C.BATCH

// wire receives and sends a socket's messages, many at a time. Used by the
// endpoint's owner.
//
// A SERVER speaks with CLIENTs: single-part messages, and a number that libzmq
// gives to every connection. A ROUTER speaks with DEALERs: multi-part messages
// with a delimiter, and an identity in front that the peer may have chosen.
type wire struct {
	c      *C.wire
	server bool
	// in is what the next messages will be received into; the first taken slots
	// have to be filled again.
	in    [batch]*frames
	taken int
}

func newWire(s *socket, wake eventFD) (*wire, error) {
	w := &wire{server: s.kind == zmq.SERVER, taken: batch}
	server := C.int(0)
	if w.server {
		server = 1
	}
	if w.c = C.wire_new(s.handle, server); w.c == nil {
		return nil, syscall.ENOMEM
	}
	if e := C.wire_watch(w.c, C.int(wake)); e != 0 {
		w.close()
		return nil, syscall.Errno(e)
	}
	return w, nil
}

// close must come before that of the socket.
func (w *wire) close() {
	for _, p := range w.in {
		if p != nil {
			p.Release()
		}
	}
	C.wire_free(w.c)
}

// transport is the name of it that operators see.
func (w *wire) transport() string {
	if w.server {
		return "zmq-server"
	}
	return "zmq-router"
}

// address is a peer's on the socket: the number of a CLIENT, or of a DEALER to
// which libzmq gave an identity, which is a zero byte and a number; else the
// identity. An identity that points to a wire's memory is valid until it next
// receives.
type address struct {
	number uint32
	name   string
}

// receive receives up to a batch without waiting and returns how many, and why
// there were not more; 0 after a whole batch.
func (w *wire) receive() (int, syscall.Errno) {
	if e := w.stock(); e != 0 {
		return 0, e
	}
	n := C.wire_receive(w.c, batch)
	return int(n), syscall.Errno(w.c.error)
}

// wait is receive when something has come, the eventFD was signalled or the time
// is over.
func (w *wire) wait(d time.Duration) (int, syscall.Errno) {
	if e := w.stock(); e != 0 {
		return 0, e
	}
	n := C.wire_wait(w.c, batch, C.long(d.Milliseconds()))
	return int(n), syscall.Errno(w.c.error)
}

// stock has empty frames in every slot.
func (w *wire) stock() syscall.Errno {
	for i := range w.taken {
		if w.in[i] != nil {
			continue
		}
		p, err := newFrames(w.server)
		if err != nil {
			return syscall.ENOMEM
		}
		w.in[i], w.c.in[i].frames = p, p.c
	}
	w.taken = 0
	return 0
}

// received returns the i-th message that was received and its sender. The frames are the
// caller's; they are nil where a message came that has nothing to be read.
func (w *wire) received(i int) (from address, p *frames) {
	a := &w.c.in[i]
	if a.frames.count == 0 {
		return address{}, nil
	}
	p, w.in[i], w.taken = w.in[i], nil, i+1
	if w.server {
		return address{number: uint32(a.number)}, p
	}
	name := unsafe.Slice((*byte)(&a.name[0]), int(a.name_size))
	if len(name) == 5 && name[0] == 0 {
		return address{number: uint32(name[1])<<24 | uint32(name[2])<<16 | uint32(name[3])<<8 | uint32(name[4])}, p
	}
	return address{name: unsafe.String(unsafe.SliceData(name), len(name))}, p
}

// put makes a message the i-th to be sent. It is the wire's until sent is asked
// for it.
func (w *wire) put(i int, p *frames, to *peerAddress) {
	d := &w.c.out[i]
	d.frames, d.to, d.bytes = p.c, to.c, C.int64_t(p.weight)
}

// send sends what was put in the first n slots.
func (w *wire) send(n int) { C.wire_send(w.c, C.int(n)) }

// sent tells what became of the i-th: tracked when its peerAddress will count it once it
// has left, and 0 or the error. The frames are empty unless that is EAGAIN.
func (w *wire) sent(i int) (tracked bool, e syscall.Errno) {
	d := &w.c.out[i]
	return d.tracked != 0, syscall.Errno(d.error)
}

// nameOf is the identity under which a ROUTER knows an address.
func (a address) nameOf() []byte {
	if a.name != "" {
		return []byte(a.name)
	}
	return []byte{0, byte(a.number >> 24), byte(a.number >> 16), byte(a.number >> 8), byte(a.number)}
}

// identity is an address as people write it: in hex unless it is readable.
func (w *wire) identity(a address) string {
	if w.server {
		return strconv.FormatUint(uint64(a.number), 10)
	}
	name := a.nameOf()
	for _, c := range name {
		if c < ' ' || c > '~' {
			return fmt.Sprintf("%x", name)
		}
	}
	return string(name)
}
