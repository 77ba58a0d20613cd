//go:build cgo && libzmq

package libzmq

// #include <zmq.h>
import "C"

import (
	"fmt"
	"reflect"
	"unsafe"

	zmq "github.com/pebbe/zmq4/draft"
)

// This file is all that is known of the binding's inside: the binding keeps to itself the
// pointer by which libzmq knows a socket, and offers no way to move a message without
// copying it.
//
// When a version of it no longer has the field, TestHandle fails, and so does opening a
// bridge. Then make the sockets by zmq_socket here, with the binding's context replaced
// by zmq_ctx_new, and set their options by zmq_setsockopt: nothing else needs the binding
// but the guard, whose sockets may stay in a context of the binding's only if they are
// made here as well, since ZAP works within one context.

// handleOf returns the pointer by which libzmq knows the socket.
func handleOf(s *zmq.Socket) (unsafe.Pointer, error) {
	kind, err := s.GetType()
	if err != nil {
		return nil, err
	}
	return handleIn(s, kind)
}

// handleIn returns the pointer in a structure like zmq.Socket, if libzmq says of it that
// it is a socket of that kind.
func handleIn(s any, kind zmq.Type) (unsafe.Pointer, error) {
	field := reflect.ValueOf(s).Elem().FieldByName("soc")
	if !field.IsValid() || field.Kind() != reflect.UnsafePointer || field.IsNil() {
		return nil, fmt.Errorf("this version of the binding to libzmq is not known: %T has no pointer soc", s)
	}
	handle := field.UnsafePointer()
	var actual C.int
	size := C.size_t(unsafe.Sizeof(actual))
	if C.zmq_getsockopt(handle, C.ZMQ_TYPE, unsafe.Pointer(&actual), &size) != 0 || zmq.Type(actual) != kind {
		return nil, fmt.Errorf("this version of the binding to libzmq is not known: soc in %T is no socket of type %v", s, kind)
	}
	return handle, nil
}
