package zmqbridge

/*
#cgo pkg-config: libzmq
#include <errno.h>
#include <stdlib.h>
#include <zmq.h>

// What the bridge needs to know of a received zmq_msg_t.
typedef struct {
	void    *data;
	size_t   size;
	uint32_t routing_id;
	int      more;
} frame_view;

static int frame_recv(void *socket, zmq_msg_t *msg, int flags, int server, frame_view *view)
{
	zmq_msg_init(msg);
	if (zmq_msg_recv(msg, socket, flags) < 0) {
		return zmq_errno();
	}
	view->data = zmq_msg_data(msg);
	view->size = zmq_msg_size(msg);
	view->routing_id = server ? zmq_msg_routing_id(msg) : 0;
	view->more = zmq_msg_more(msg);
	return 0;
}

static int frame_send(void *socket, zmq_msg_t *msg, uint32_t routing_id, int flags)
{
	if (routing_id && zmq_msg_set_routing_id(msg, routing_id) < 0) {
		return zmq_errno();
	}
	return zmq_msg_send(msg, socket, flags) < 0 ? zmq_errno() : 0;
}

static int frame_alloc(zmq_msg_t *msg, size_t size, void **data)
{
	if (zmq_msg_init_size(msg, size) < 0) {
		return zmq_errno();
	}
	*data = zmq_msg_data(msg);
	return 0;
}

static int wait_readable(void *socket, int fd, long milliseconds)
{
	zmq_pollitem_t items[] = {
		{ socket, 0, ZMQ_POLLIN, 0 },
		{ NULL, fd, ZMQ_POLLIN, 0 },
	};
	return zmq_poll(items, 2, milliseconds) < 0 ? zmq_errno() : 0;
}

#cgo noescape frame_recv
#cgo nocallback frame_recv
#cgo noescape frame_send
#cgo nocallback frame_send
#cgo noescape frame_alloc
#cgo nocallback frame_alloc
*/
import "C"

import (
	"sync"
	"syscall"
	"unsafe"
)

// frame is one libzmq message. Its bytes are read and sent on where libzmq put
// them, which spares the copies into Go's memory and out of it.
//
// Memory: a frame lies on the Go heap, so does not move, and C keeps no pointer
// to it between calls. Small messages lie inside the frame, large ones in
// libzmq's memory; bytes aliases either, and is valid until the frame is sent
// or closed. Between init and close the frame is owned by one holder at a time.
type frame struct {
	msg   C.zmq_msg_t
	bytes []byte
	// routingID is the sender, on a SERVER.
	routingID uint32
	more      bool
}

var frames = sync.Pool{New: func() any { return new(frame) }}

// receiveFrame reads one message part; the caller closes or sends it. The error
// is a syscall.Errno.
func receiveFrame(s *socket, flags flags) (*frame, error) {
	f := frames.Get().(*frame)
	var view C.frame_view
	server := C.int(0)
	if s.server {
		server = 1
	}
	if e := C.frame_recv(s.handle, &f.msg, C.int(flags), server, &view); e != 0 {
		frames.Put(f)
		return nil, syscall.Errno(e)
	}
	f.bytes = unsafe.Slice((*byte)(view.data), int(view.size))
	f.routingID = uint32(view.routing_id)
	f.more = view.more != 0
	return f, nil
}

// newFrame makes a frame of that size, for the caller to fill, and to close or
// send.
func newFrame(size int) (*frame, error) {
	f := frames.Get().(*frame)
	var data unsafe.Pointer
	if e := C.frame_alloc(&f.msg, C.size_t(size), &data); e != 0 {
		frames.Put(f)
		return nil, syscall.Errno(e)
	}
	f.bytes = unsafe.Slice((*byte)(data), size)
	return f, nil
}

// send sends the frame, to that peer if the socket is a SERVER. The frame is
// used up unless there is an error, which is a syscall.Errno.
func (f *frame) send(s *socket, routingID uint32, flags flags) error {
	if e := C.frame_send(s.handle, &f.msg, C.uint32_t(routingID), C.int(flags)); e != 0 {
		return syscall.Errno(e)
	}
	// libzmq took the content and left an empty message, which holds nothing.
	f.bytes = nil
	frames.Put(f)
	return nil
}

// close gives the memory back.
func (f *frame) close() {
	C.zmq_msg_close(&f.msg)
	f.bytes = nil
	frames.Put(f)
}

// property answers what libzmq knows of a received message's connection, such
// as "Peer-Address"; empty if nothing.
func (f *frame) property(name string) string {
	key := C.CString(name)
	defer C.free(unsafe.Pointer(key))
	return C.GoString(C.zmq_msg_gets(&f.msg, key))
}

// waitReadable waits until the socket or the file descriptor can be read, or
// the time is over.
func waitReadable(s *socket, fd int, milliseconds int) error {
	if e := C.wait_readable(s.handle, C.int(fd), C.long(milliseconds)); e != 0 {
		return syscall.Errno(e)
	}
	return nil
}
