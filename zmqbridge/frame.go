package zmqbridge

/*
#cgo pkg-config: libzmq
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <zmq.h>

// What the bridge needs to know of a received zmq_msg_t.
typedef struct {
	void    *data;
	size_t   size;
	uint32_t routing_id;
	int      more;
} frame_view;

// Go's scheduler interrupts threads by a signal, even while they are in libzmq.
// Between the parts of a message there is no going back, so every call is made
// again; any other error is answered.
#define RETRY(call) \
	while ((call) < 0) \
		if (zmq_errno() != EINTR) \
			return zmq_errno()

static int frame_recv(void *socket, zmq_msg_t *msg, int flags, int server, frame_view *view)
{
	zmq_msg_init(msg);
	RETRY(zmq_msg_recv(msg, socket, flags));
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
	RETRY(zmq_msg_send(msg, socket, flags));
	return 0;
}

// What has left libzmq for one peer: what was written to its connection, or lost
// with it. Counts upwards only.
typedef struct {
	atomic_long messages, bytes;
	atomic_long holders; // the link, and every message that is held
} tally;

static tally *tally_new(void)
{
	tally *t = calloc(1, sizeof *t);
	if (t)
		atomic_store(&t->holders, 1);
	return t;
}

static void tally_drop(tally *t)
{
	if (atomic_fetch_sub(&t->holders, 1) == 1)
		free(t);
}

static void tally_read(tally *t, long *messages, long *bytes)
{
	*messages = atomic_load(&t->messages);
	*bytes = atomic_load(&t->bytes);
}

// A message that is being sent, and the tally on which it will be.
typedef struct {
	zmq_msg_t inner;
	tally *on;
	long messages, bytes;
} held;

// Called by libzmq, on its own thread, when it is done with a message: it was
// written, or its connection is gone.
static void held_free(void *data, void *hint)
{
	held *h = hint;
	(void)data;
	zmq_msg_close(&h->inner);
	atomic_fetch_add(&h->on->messages, h->messages);
	atomic_fetch_add(&h->on->bytes, h->bytes);
	tally_drop(h->on);
	free(h);
}

// Sends as frame_send, and puts one message of so many bytes on a tally when it
// has left. What libzmq is given is a message that borrows the bytes of the real
// one.
static int frame_send_held(void *socket, zmq_msg_t *msg, uint32_t routing_id, int flags, tally *on, long bytes)
{
	held *h = malloc(sizeof *h);
	zmq_msg_t lent;
	int error;

	if (!h)
		return ENOMEM;
	h->on = on;
	h->messages = 1;
	h->bytes = bytes;
	zmq_msg_init(&h->inner);
	zmq_msg_move(&h->inner, msg);
	if (zmq_msg_init_data(&lent, zmq_msg_data(&h->inner), zmq_msg_size(&h->inner), held_free, h) < 0) {
		error = zmq_errno();
		zmq_msg_move(msg, &h->inner);
		zmq_msg_close(&h->inner);
		free(h);
		return error;
	}
	atomic_fetch_add(&on->holders, 1);
	error = frame_send(socket, &lent, routing_id, flags);
	if (error) { // takes all back, so that closing lent frees nothing but h
		zmq_msg_move(msg, &h->inner);
		h->messages = h->bytes = 0;
		zmq_msg_close(&lent);
	}
	return error;
}

static int frame_alloc(zmq_msg_t *msg, size_t size, void **data)
{
	if (zmq_msg_init_size(msg, size) < 0) {
		return zmq_errno();
	}
	*data = zmq_msg_data(msg);
	return 0;
}

#cgo noescape frame_recv
#cgo nocallback frame_recv
#cgo noescape frame_send
#cgo nocallback frame_send
#cgo noescape frame_send_held
#cgo nocallback frame_send_held
#cgo noescape tally_read
#cgo nocallback tally_read
#cgo noescape frame_alloc
#cgo nocallback frame_alloc
*/
import "C"

import (
	"runtime"
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

// sendHeld is send for a frame that, when it has left, is put on a tally as one
// message of that many bytes.
func (f *frame) sendHeld(s *socket, routingID uint32, flags flags, on *tally, bytes int64) error {
	if e := C.frame_send_held(s.handle, &f.msg, C.uint32_t(routingID), C.int(flags), on.c, C.long(bytes)); e != 0 {
		return syscall.Errno(e)
	}
	f.bytes = nil
	frames.Put(f)
	return nil
}

// worthHolding tells whether a frame is large enough for a tally. Smaller ones
// cannot fill the memory: a peer's queue in libzmq is bounded.
func (f *frame) worthHolding() bool { return len(f.bytes) >= 16<<10 }

// tally counts what has left libzmq for one peer, of the messages that were held.
// It may be used concurrently.
type tally struct{ c *C.tally }

func newTally() (*tally, error) {
	c := C.tally_new()
	if c == nil {
		return nil, syscall.ENOMEM
	}
	t := &tally{c}
	runtime.AddCleanup(t, func(c *C.tally) { C.tally_drop(c) }, c)
	return t, nil
}

// read answers the messages and bytes that have left.
func (t *tally) read() (messages, bytes int64) {
	var m, b C.long
	C.tally_read(t.c, &m, &b)
	runtime.KeepAlive(t)
	return int64(m), int64(b)
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
