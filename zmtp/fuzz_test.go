package zmtp

import (
	"bytes"
	"crypto/ecdh"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// fixedKeys are the same in every run.
func fixedKeys(seed byte) *CurveKeys {
	secret, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{seed}, 32))
	if err != nil {
		panic(err)
	}
	return &CurveKeys{Secret: [32]byte(secret.Bytes()), Public: [32]byte(secret.PublicKey().Bytes())}
}

// fuzzEnds are one end of every kind.
func fuzzEnds() []*Config {
	client, server := fixedKeys(1), fixedKeys(2)
	client.Server = server.Public
	all := []*Config{
		{Type: Router, AsServer: true},
		{Type: Dealer, Identity: "detector-7"},
		{Type: Router, AsServer: true, Curve: server},
		{Type: Dealer, Identity: "detector-7", Curve: client},
	}
	for _, c := range all {
		if err := c.Validate(); err != nil {
			panic(err)
		}
	}
	return all
}

// outcome is all that one can see of a handshake.
type outcome struct {
	sent     string
	err      string
	done     bool
	peer     Peer
	consumed int
}

// play feeds a handshake at most so many bytes at a time, and checks what must
// be true of any.
func play(t *testing.T, c *Config, seed byte, in []byte, most int) (o outcome) {
	t.Helper()
	h := fixed(NewHandshake(c), seed)
	var failed error
	for len(in) > 0 && failed == nil && !h.Done() {
		take := in[:min(most, len(in))]
		n, out, err := h.Receive(take)
		if err == nil && !h.Done() && n != len(take) || n > len(take) {
			t.Fatalf("has taken %d of %d bytes", n, len(take))
		}
		in, failed = in[n:], err
		o.sent, o.consumed = o.sent+string(out), o.consumed+n
		if o.consumed > MaxHandshake || cap(h.part) > 2*(MaxHeader+MaxHandshakeCommand) {
			t.Fatalf("has taken %d bytes, holds %d", o.consumed, cap(h.part))
		}
	}
	if failed != nil {
		checkError(t, failed)
		if h.Done() || h.Session() != nil {
			t.Fatal("has failed and is done")
		}
		o.err, o.consumed = asError(failed).Cause.String()+failed.Error(), 0
	}
	o.done, o.peer = h.Done(), *h.Peer()
	if failed == nil && !o.done {
		return o
	}
	if n, out, err := h.Receive([]byte("x")); n != 0 || out != nil || !errors.Is(err, failed) {
		t.Fatalf("when it is over: %d, %q, %v", n, out, err)
	}
	return o
}

// checkError: an error is an *Error, short and printable.
func checkError(t *testing.T, err error) {
	t.Helper()
	e, ok := err.(*Error) //nolint:errorlint // it must be one itself
	if !ok || e == nil || e.Cause.String() == "unknown" || e.Detail == "" || len(e.Detail) > 400 || printable(e.Detail) != e.Detail[:min(255, len(e.Detail))] {
		t.Fatalf("%T %+v", err, err)
	}
}

// FuzzHandshake: no stream does harm, and how it is split does not matter.
func FuzzHandshake(f *testing.F) {
	all := fuzzEnds()
	for i := 0; i < len(all); i += 2 {
		toServer, toClient := streams(f, all[i+1], all[i])
		f.Add(byte(i), uint16(1), toServer)
		f.Add(byte(i+1), uint16(7), toClient)
		f.Add(byte(i), uint16(64), append(toServer, "\x00\x05hello"...))
	}
	f.Add(byte(0), uint16(3), append(greeting(nil), AppendError(nil, "no")...))
	f.Fuzz(func(t *testing.T, end byte, most uint16, in []byte) {
		i := int(end) % len(all)
		seed := []byte{2, 1}[i%2] // as in streams
		atOnce, inParts := play(t, all[i], seed, in, len(in)+1), play(t, all[i], seed, in, int(most)+1)
		if atOnce != inParts {
			t.Fatalf("at once:\n%+v\nin parts:\n%+v", atOnce, inParts)
		}
		if atOnce.done != (atOnce.peer.Type != "" && atOnce.err == "" && all[i].Type.Accepts(atOnce.peer.Type)) {
			t.Fatalf("%+v", atOnce)
		}
	})
}

// FuzzGreeting: what is refused is refused at the first byte that says so, and
// what is accepted is a greeting.
func FuzzGreeting(f *testing.F) {
	for _, seed := range []string{string(greeting(nil)), "\x01\x00", "GET / HTTP/1.1\r\n", "\x16\x03\x01", "\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x01\x05",
		string(greeting(func(g []byte) { copy(g[12:], "CURVE") }))} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		in = in[:min(len(in), greetingSize)]
		var first *Error
		for i := range len(in) + 1 {
			err := checkPrefix(in[:i])
			if first != nil && (err == nil || err.Detail != first.Detail) {
				t.Fatalf("%v at first, then %v", first, err)
			}
			first = err
		}
		if first != nil {
			checkError(t, first)
			return
		}
		if len(in) < greetingSize {
			return
		}
		var peer Peer
		if _, err := parseGreeting(in, &peer); err != nil {
			checkError(t, err)
			return
		}
		name := strings.TrimRight(string(in[12:32]), "\x00")
		if in[0] != 0xff || in[9] != 0x7f || peer.Major != in[10] || peer.Major < 3 || peer.Minor != in[11] || string(peer.Mechanism) != name || name == "" {
			t.Fatalf("% x is %+v", in, peer)
		}
	})
}

func FuzzHeader(f *testing.F) {
	for _, seed := range []string{"", "\x00\x05", "\x04\x29", "\x03\x00\x00\x00\x00\x00\x00\x01\x00", "\x02\x80", "\x05\x00", "\x08"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		h, n, err := ParseHeader(in)
		if err != nil {
			checkError(t, err)
		}
		if n > len(in) || n == 0 && h != (Header{}) || h.More && h.Command || h.Size >= 1<<63 {
			t.Fatalf("%+v, %d", h, n)
		}
		if n == 0 {
			return
		}
		short := AppendHeader(nil, h)
		if again, m, err := ParseHeader(short); again != h || m != len(short) || m > n || err != nil {
			t.Fatalf("%+v becomes %+v, %v", h, again, err)
		}
	})
}

func FuzzCommand(f *testing.F) {
	for _, seed := range []string{"\x04PING\x00\x14context", "\x04PONGcontext", "\x05ERROR\x02no", "\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER",
		"\x03Foobar", "\x00", "\xffx", "\x05READY\x08Identity\x00\x00\x00\x02id\x01X\x00\x00\x00\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		name, data, err := ParseCommand(body)
		if err != nil {
			checkError(t, err)
			return
		}
		if !bytes.Equal(AppendCommand(nil, name, data), body) || name == "" || len(name) > 255 || printable(name) != name {
			t.Fatalf("%q is %q, %q", body, name, data)
		}
		if ttl, context, err := ParsePing(data); err != nil {
			checkError(t, err)
		} else if frame := AppendPing(nil, ttl, context); !bytes.Equal(frame[7:], data) {
			t.Fatalf("PING %q becomes %q", data, frame)
		}
		if reason, err := ParseError(data); err != nil {
			checkError(t, err)
		} else if len(reason) > MaxReason {
			t.Fatalf("a reason of %d bytes", len(reason))
		}
		var peer Peer
		if err := parseProperties(data, &peer); err != nil {
			checkError(t, err)
		} else if len(peer.Type) > maxSocketType || len(peer.Identity) > MaxIdentity {
			t.Fatalf("%+v", peer)
		}
	})
}

// FuzzSessionOpen: only what was sealed is opened, and what is sealed comes
// back.
func FuzzSessionOpen(f *testing.F) {
	sealed, _ := sessions(&[32]byte{7})
	f.Add(byte(0), sealed.Seal(nil, Header{}, []byte("hello"))[2:])
	f.Add(byte(1), sealed.Seal(nil, Header{More: true}, make([]byte, 300))[9:])
	f.Add(byte(2), []byte("\x07MESSAGE"))
	f.Fuzz(func(t *testing.T, flags byte, in []byte) {
		client, server := sessions(&[32]byte{8})
		if h, plain, err := server.Open(nil, in); err == nil || plain != nil || h != (Header{}) {
			t.Fatalf("%q is opened: %+v, %q", in, h, plain)
		} else {
			checkError(t, err)
		}
		want := Header{More: flags&1 != 0, Command: flags&2 != 0, Size: uint64(len(in))}
		cut := int(binary.BigEndian.Uint16([]byte{flags, 0})) % (len(in) + 1)
		frame := client.Seal(nil, want, in[:cut], in[cut:])
		outer, n, err := ParseHeader(frame)
		if err != nil || int(outer.Size) != len(frame)-n {
			t.Fatalf("%+v, %d, %v", outer, n, err)
		}
		if h, plain, err := server.Open(nil, frame[n:]); h != want || !bytes.Equal(plain, in) || err != nil {
			t.Fatalf("%+v, %q, %v", h, plain, err)
		}
		if _, _, err := server.Open(nil, frame[n:]); !errors.Is(err, errNonce) {
			t.Fatalf("once more: %v", err)
		}
	})
}
