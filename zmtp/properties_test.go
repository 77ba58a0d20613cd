package zmtp

import (
	"fmt"
	"strings"
	"testing"
)

func TestProperties(t *testing.T) {
	t.Parallel()
	const dealer = "\x0bSocket-Type\x00\x00\x00\x06DEALER"
	property := func(name, value string) string {
		return string(rune(len(name))) + name + string([]byte{0, 0, byte(len(value) >> 8), byte(len(value))}) + value
	}
	for _, c := range []struct {
		name, in string
		kind     SocketType
		identity string
		err      string
	}{
		{name: "none"},
		{name: "RFC 23's DEALER", in: dealer + "\x08Identity\x00\x00\x00\x00", kind: Dealer},
		{name: "identity", in: dealer + property("Identity", "a\x00b"), kind: Dealer, identity: "a\x00b"},
		{name: "no case", in: property("sOCKET-tYPE", "ROUTER") + property("IDENTITY", "x"), kind: Router, identity: "x"},
		{name: "type as it is", in: property("Socket-Type", "dealer"), kind: "dealer"},
		{name: "unknown ones", in: property("X-Name", "v") + dealer + property("Resource", "") + property("a-._+Z9", strings.Repeat("v", 900)) +
			property("X-Name", "again"), kind: Dealer},
		{name: "longest name", in: dealer + "\xff" + strings.Repeat("n", 255) + "\x00\x00\x00\x00", kind: Dealer},
		{name: "longest identity", in: property("Identity", strings.Repeat("i", 255)), identity: strings.Repeat("i", 255)},
		{name: "identity too long", in: property("Identity", strings.Repeat("i", 256)),
			err: `the peer's Identity is too long: "` + strings.Repeat("i", 64) + `"...`},
		{name: "type too long", in: property("Socket-Type", strings.Repeat("D", 17)), err: `the peer's Socket-Type is too long: "DDDDDDDDDDDDDDDDD"`},
		{name: "type twice", in: dealer + property("SOCKET-TYPE", "DEALER"), err: "the peer sends Socket-Type twice"},
		{name: "identity twice", in: property("Identity", "") + property("Identity", "x"), err: "the peer sends Identity twice"},
		{name: "empty name", in: dealer + "\x00\x00\x00\x00\x00", err: "a property's name is empty or cut off"},
		{name: "name cut off", in: "\x0bSocket", err: "a property's name is empty or cut off"},
		{name: "no value", in: "\x01X\x00\x00\x00", err: "a property's name is empty or cut off"},
		{name: "name malformed", in: property("a b\n", ""), err: `a property's name is malformed: "a b\n"`},
		{name: "value cut off", in: dealer[:len(dealer)-1], err: `the value of the property "Socket-Type" is cut off`},
		{name: "value of 2^32-1", in: "\x01X\xff\xff\xff\xffvalue", err: `the value of the property "X" is cut off`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var peer Peer
			err := parseProperties([]byte(c.in), &peer)
			if c.err != "" {
				if err == nil || err.Detail != c.err || err.Cause != CauseProtocol {
					t.Errorf("%v, want %s", err, c.err)
				}
				return
			}
			if err != nil || peer.Type != c.kind || peer.Identity != c.identity {
				t.Errorf("%v, %+v", err, peer)
			}
		})
	}
}

// TestWorkedExample is that of RFC 23 and RFC 37: the commands, byte for byte.
func TestWorkedExample(t *testing.T) {
	t.Parallel()
	const dealer = "\x04\x29\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00"
	const router = "\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER"
	for minor, version := range []string{"3.0", "3.1"} {
		h := NewHandshake(&Config{Type: Router, AsServer: true})
		theirs := "\xff" + strings.Repeat("\x00", 8) + "\x7f\x03" + string(rune(minor)) + "NULL" + strings.Repeat("\x00", 48)
		n, out, err := h.Receive([]byte(theirs + dealer))
		if n != 64+43 || string(out) != router || err != nil || !h.Done() || h.Peer().Type != Dealer ||
			fmt.Sprintf("%d.%d", h.Peer().Major, h.Peer().Minor) != version {
			t.Errorf("%s: %d, %q, %v, %+v", version, n, out, err, h.Peer())
		}
	}
	// The client's end. It sends no empty identity.
	h := NewHandshake(&Config{Type: Dealer})
	if _, out, err := h.Receive(greeting(nil)); string(out) != "\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	if _, out, err := h.Receive([]byte(router)); len(out) > 0 || err != nil || !h.Done() {
		t.Errorf("%q, %v", out, err)
	}
}
