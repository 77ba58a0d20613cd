//go:build cgo && libzmq

package libzmq

import (
	"testing"
	"unsafe"

	zmq "github.com/pebbe/zmq4/draft"
)

// TestHandle: the binding still has the pointer where handleOf looks for it, and what is
// no such pointer is refused.
func TestHandle(t *testing.T) {
	context, err := zmq.NewContext()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []zmq.Type{zmq.SERVER, zmq.ROUTER} {
		s, err := context.NewSocket(kind)
		if err != nil {
			t.Fatal(err)
		}
		handle, err := handleOf(s)
		if err != nil || handle == nil {
			t.Errorf("%v: %v", kind, err)
		}
		if _, err := handleIn(&struct{ soc unsafe.Pointer }{handle}, kind); err != nil {
			t.Errorf("%v: %v", kind, err)
		}
		for name, other := range map[string]any{
			"another name": &struct{ socket unsafe.Pointer }{handle}, "another type": &struct{ soc uintptr }{uintptr(handle)}, "nil": &struct{ soc unsafe.Pointer }{},
		} {
			if _, err := handleIn(other, kind); err == nil {
				t.Errorf("%v: %s was taken", kind, name)
			}
		}
		if _, err := handleIn(s, zmq.PAIR); err == nil {
			t.Errorf("%v: was taken for a PAIR", kind)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := context.Term(); err != nil {
		t.Error(err)
	}
}
