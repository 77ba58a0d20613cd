package zmtp

import (
	"bytes"
	"strings"
	"testing"
)

// greeting is ours with some bytes changed.
func greeting(change func(g []byte)) []byte {
	g := appendGreeting(nil, Null, false)
	if change != nil {
		change(g)
	}
	return g
}

func TestGreeting(t *testing.T) {
	t.Parallel()
	const ours = "\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x01"
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Type: Server, AsServer: true}, ours + "NULL" + strings.Repeat("\x00", 48)},
		{Config{Type: Client, Curve: &CurveKeys{}}, ours + "CURVE" + strings.Repeat("\x00", 47)},
		{Config{Type: Server, Curve: &CurveKeys{}, AsServer: true}, ours + "CURVE" + strings.Repeat("\x00", 15) + "\x01" +
			strings.Repeat("\x00", 31)},
	} {
		if got := NewHandshake(&c.config).Start(); string(got) != c.want {
			t.Errorf("%+v: %q", c.config, got)
		}
	}
}

func TestGreetingOfPeer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name         string
		bytes        []byte
		major, minor byte // of the peer, if it is accepted
		cause        Cause
		detail       string // a part of the error's
		at           int    // how many bytes it takes
		out          string // a part of what is sent then
	}{
		{name: "3.1", bytes: greeting(nil), major: 3, minor: 1},
		{name: "3.0", bytes: greeting(func(g []byte) { g[11] = 0 }), major: 3},
		{name: "3.9", bytes: greeting(func(g []byte) { g[11] = 9 }), major: 3, minor: 9},
		{name: "4.0", bytes: greeting(func(g []byte) { g[10], g[11] = 4, 0 }), major: 4},
		{name: "any padding and filler", bytes: greeting(func(g []byte) { copy(g[1:9], "whatever"); g[63] = 9 }), major: 3, minor: 1},
		{name: "as-server under NULL", bytes: greeting(func(g []byte) { g[32] = 1 }), major: 3, minor: 1},

		{name: "2.0", bytes: []byte("\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x01\x05\x00\x00"), cause: CauseVersion, detail: "ZMTP 2.0", at: 11},
		{name: "2.1", bytes: []byte("\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x02"), cause: CauseVersion, detail: "ZMTP 2.0", at: 11},
		{name: "revision 0", bytes: []byte("\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x00"), cause: CauseVersion, detail: "ZMTP 1.0", at: 11},
		{name: "1.0, no identity", bytes: []byte("\x01\x00\x05\x00abcd"), cause: CauseVersion, detail: "ZMTP 1.0", at: 2},
		{name: "1.0, identity", bytes: []byte("\x04\x00abc"), cause: CauseVersion, detail: "ZMTP 1.0", at: 2},
		{name: "1.0, longest identity", bytes: []byte("\xff\x00\x00\x00\x00\x00\x00\x01\x00\x00abc"), cause: CauseVersion, detail: "ZMTP 1.0", at: 10},

		{name: "HTTP", bytes: []byte("GET / HTTP/1.1\r\n"), cause: CauseForeign, detail: "an HTTP request", at: 2},
		{name: "HTTP/2", bytes: []byte("PRI * HTTP/2.0\r\n"), cause: CauseForeign, detail: "an HTTP request", at: 2},
		{name: "TLS", bytes: []byte("\x16\x03\x01\x02\x00\x01"), cause: CauseForeign, detail: "a TLS handshake", at: 2},
		{name: "SSH", bytes: []byte("SSH-2.0-OpenSSH"), cause: CauseForeign, detail: "SSH", at: 2},
		{name: "zeros", bytes: make([]byte, 64), cause: CauseForeign, detail: "bytes 00 00", at: 2},
		{name: "text", bytes: []byte("hello"), cause: CauseForeign, detail: "bytes 68 65", at: 2},
		{name: "ff only", bytes: bytes.Repeat([]byte{0xff}, 64), cause: CauseForeign, detail: "no signature", at: 10},

		{name: "PLAIN", bytes: greeting(func(g []byte) { copy(g[12:], "PLAIN") }), cause: CauseMechanism, detail: `wants "PLAIN", not NULL`, at: 64,
			out: "\x05ERROR\x23Invalid mechanism, NULL is required"},
		{name: "CURVE", bytes: greeting(func(g []byte) { copy(g[12:], "CURVE") }), cause: CauseMechanism, detail: `wants "CURVE", not NULL`, at: 64,
			out: "NULL is required"},
		{name: "20 letters", bytes: greeting(func(g []byte) { copy(g[12:], "ABCDEFGHIJKLMNOPQRST") }), cause: CauseMechanism,
			detail: `"ABCDEFGHIJKLMNOPQRST"`, at: 64, out: "ERROR"},
		{name: "no mechanism", bytes: greeting(func(g []byte) { clear(g[12:32]) }), cause: CauseProtocol, detail: "malformed", at: 64},
		{name: "mechanism not padded", bytes: greeting(func(g []byte) { g[20] = 'x' }), cause: CauseProtocol, detail: "malformed", at: 64},
		{name: "mechanism with a newline", bytes: greeting(func(g []byte) { g[13] = '\n' }), cause: CauseProtocol, detail: `"N\nLL"`, at: 64},
		{name: "as-server 2", bytes: greeting(func(g []byte) { g[32] = 2 }), cause: CauseProtocol, detail: "as-server is 2", at: 64},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			byByte, atOnce := NewHandshake(&Config{Type: Router, AsServer: true}), NewHandshake(&Config{Type: Router, AsServer: true})
			_, out, err := atOnce.Receive(c.bytes)
			for i, b := range c.bytes {
				_, bout, berr := byByte.Receive([]byte{b})
				if failed := c.cause != 0 && i+1 >= c.at; failed != (berr != nil) {
					t.Fatalf("after %d bytes: %v", i+1, berr)
				}
				if c.cause != 0 && i+1 == c.at && (berr.Error() != err.Error() || !bytes.Equal(bout, out)) {
					t.Errorf("by byte: %v, sends %q; at once: %v, %q", berr, bout, err, out)
				}
			}
			if c.cause == 0 {
				if p := atOnce.Peer(); err != nil || p.Major != c.major || p.Minor != c.minor || p.Mechanism != Null || atOnce.Waiting() != "READY" {
					t.Fatalf("%v, %+v", err, p)
				}
				if pings := c.major > 3 || c.minor > 0; atOnce.Peer().Pings() != pings {
					t.Errorf("Pings is not %t", pings)
				}
				return
			}
			if e := asError(err); e.Cause != c.cause || !strings.Contains(e.Detail, c.detail) {
				t.Errorf("%v: %v", e.Cause, e)
			}
			if !strings.Contains(string(out), c.out) || c.out == "" && c.at < 64 && len(out) > 0 {
				t.Errorf("sends %q", out)
			}
		})
	}
}
