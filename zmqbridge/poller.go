package zmqbridge

/*
#include <errno.h>
#include <zmq.h>

static int poller_open(void **poller, void *socket, int fd)
{
	if (!(*poller = zmq_poller_new()))
		return zmq_errno();
	if (zmq_poller_add(*poller, socket, NULL, ZMQ_POLLIN) < 0 || zmq_poller_add_fd(*poller, fd, NULL, ZMQ_POLLIN) < 0) {
		int error = zmq_errno();
		zmq_poller_destroy(poller);
		return error;
	}
	return 0;
}

static int poller_wait(void *poller, long milliseconds)
{
	zmq_poller_event_t event;
	return zmq_poller_wait(poller, &event, milliseconds) < 0 ? zmq_errno() : 0;
}

static int poller_close(void *poller)
{
	return zmq_poller_destroy(&poller) < 0 ? zmq_errno() : 0;
}
*/
import "C"

import (
	"syscall"
	"time"
	"unsafe"
)

// poller waits for one socket and one file descriptor. The binding's own knows
// only sockets.
type poller struct{ handle unsafe.Pointer }

func newPoller(s *socket, fd int) (*poller, error) {
	p := new(poller)
	if e := C.poller_open(&p.handle, s.handle, C.int(fd)); e != 0 {
		return nil, syscall.Errno(e)
	}
	return p, nil
}

// wait returns when either can be read. After the time it is EAGAIN.
func (p *poller) wait(d time.Duration) error {
	if e := C.poller_wait(p.handle, C.long(d.Milliseconds())); e != 0 {
		return syscall.Errno(e)
	}
	return nil
}

func (p *poller) close() error {
	if e := C.poller_close(p.handle); e != 0 {
		return syscall.Errno(e)
	}
	return nil
}
