package zmtp

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/nacl/box"
)

// TestTampered flips every bit-th bit of every byte of a CURVE handshake in
// turn. Behind the greeting there is no byte that does not matter.
func TestTampered(t *testing.T) {
	t.Parallel()
	cc, sc := ends(t, Curve, Dealer, Router)
	toServer, toClient := streams(t, cc, sc)
	for _, end := range []struct {
		config *Config
		seed   byte
		in     []byte
	}{{sc, 2, toServer}, {cc, 1, toClient}} {
		t.Run(string(end.config.Type), func(t *testing.T) {
			t.Parallel()
			for i := greetingSize; i < len(end.in); i++ {
				in := slices.Clone(end.in)
				in[i] ^= 1 << (i % 8)
				h := fixed(NewHandshake(end.config), end.seed)
				_, out, err := h.Receive(in)
				if err == nil && !h.Done() {
					// The frame says that it is longer than it is.
					_, out, err = h.Receive(make([]byte, MaxHandshakeCommand))
				}
				if err == nil || h.Done() || h.Session() != nil {
					t.Fatalf("byte %d: %v", i, err)
				}
				// RFC 26: only the server sends ERROR.
				if told := bytes.Contains(out, []byte("\x05ERROR")); told != end.config.AsServer {
					t.Fatalf("byte %d: sends %q", i, out)
				}
			}
		})
	}
}

// reference is a CURVE client after RFC 26 on nacl/box, with knobs.
type reference struct {
	server       [32]byte  // S
	public       *[32]byte // C
	secret       *[32]byte
	short        *[32]byte // C'
	shortSecret  *[32]byte
	version      string
	zeros        string
	helloNonce   uint64
	initNonce    uint64
	vouchShort   [32]byte
	vouchServer  [32]byte
	properties   string
	shortenInit  int
	otherCookie  bool
	serverShort  [32]byte
	helloPadding string
}

func newReference(t *testing.T, server [32]byte) *reference {
	t.Helper()
	r := &reference{server: server, version: "\x01\x00", zeros: strings.Repeat("\x00", 64), helloNonce: 1, initNonce: 2,
		vouchServer: server, helloPadding: strings.Repeat("\x00", 72),
		properties: "\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00"}
	var err, errShort error
	r.public, r.secret, err = box.GenerateKey(rand.Reader)
	r.short, r.shortSecret, errShort = box.GenerateKey(rand.Reader)
	if err != nil || errShort != nil {
		t.Fatal(err, errShort)
	}
	r.vouchShort = *r.short
	return r
}

// frame makes a command's frame.
func frameOf(name, data string) []byte {
	body := string(rune(len(name))) + name + data
	if len(body) > 255 {
		return append(binary.BigEndian.AppendUint64([]byte{6}, uint64(len(body))), body...)
	}
	return append([]byte{4, byte(len(body))}, body...)
}

func naclNonce(prefix string, rest string) *[24]byte {
	n := [24]byte([]byte(prefix + rest))
	return &n
}

func counter(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }

func (r *reference) hello() []byte {
	signature := box.Seal(nil, []byte(r.zeros), naclNonce("CurveZMQHELLO---", counter(r.helloNonce)), &r.server, r.shortSecret)
	return frameOf("HELLO", r.version+r.helloPadding+string(r.short[:])+counter(r.helloNonce)+string(signature))
}

// initiate answers WELCOME.
func (r *reference) initiate(t *testing.T, welcome []byte) []byte {
	t.Helper()
	name, data := parseFrame(t, welcome)
	plain, ok := box.Open(nil, data[16:], naclNonce("WELCOME-", string(data[:16])), &r.server, r.shortSecret)
	if name != "WELCOME" || !ok || len(plain) != 128 {
		t.Fatalf("%s does not open: %d bytes", name, len(plain))
	}
	r.serverShort = [32]byte(plain)
	cookie := plain[32:]
	if r.otherCookie {
		cookie[95] ^= 1
	}
	vouch := box.Seal(nil, append(r.vouchShort[:], r.vouchServer[:]...), naclNonce("VOUCH---", "0123456789abcdef"), &r.serverShort, r.secret)
	text := string(r.public[:]) + "0123456789abcdef" + string(vouch) + r.properties
	text = text[:len(text)-r.shortenInit]
	sealed := box.Seal(nil, []byte(text), naclNonce("CurveZMQINITIATE", counter(r.initNonce)), &r.serverShort, r.shortSecret)
	return frameOf("INITIATE", string(cookie)+counter(r.initNonce)+string(sealed))
}

// TestReference has the reference client speak to our server: right, and wrong
// in every way that takes keys.
func TestReference(t *testing.T) {
	t.Parallel()
	low := [32]byte{1} // a point whose products are all zero
	for _, c := range []struct {
		name string
		turn func(r *reference)
		want string
	}{
		{name: "right"},
		{name: "any growing nonces", turn: func(r *reference) { r.helloNonce, r.initNonce = 0, 1<<64-1 }},
		{name: "CURVE 1.1", turn: func(r *reference) { r.version = "\x01\x01" }, want: "protocol: HELLO has a version of CURVE that is not 1.0"},
		{name: "CURVE 2.0", turn: func(r *reference) { r.version = "\x02\x00" }, want: "protocol: HELLO has a version of CURVE that is not 1.0"},
		{name: "long HELLO", turn: func(r *reference) { r.zeros += "\x00" }, want: "protocol: HELLO has the wrong size"},
		{name: "short HELLO", turn: func(r *reference) { r.zeros = r.zeros[1:] }, want: "protocol: HELLO has the wrong size"},
		{name: "padding", turn: func(r *reference) { r.helloPadding = r.helloPadding[1:] + "x" }, want: "protocol: HELLO's padding is not zero"},
		{name: "no zeros", turn: func(r *reference) { r.zeros = r.zeros[1:] + "x" }, want: "protocol: HELLO's box does not hold zeros"},
		{name: "low order C'", turn: func(r *reference) { r.short = &low }, want: "key: HELLO has a client's key that is none"},
		{name: "nonce repeated", turn: func(r *reference) { r.initNonce = 1 }, want: "protocol: INITIATE's nonce has not grown"},
		{name: "nonce shrinks", turn: func(r *reference) { r.helloNonce = 3 }, want: "protocol: INITIATE's nonce has not grown"},
		{name: "cookie", turn: func(r *reference) { r.otherCookie = true }, want: "protocol: INITIATE does not return WELCOME's cookie"},
		{name: "short INITIATE", turn: func(r *reference) { r.properties, r.shortenInit = "", 1 }, want: "protocol: INITIATE is too short"},
		{name: "no properties", turn: func(r *reference) { r.properties = "" }, want: `socket_type: the peer is "", which ROUTER does not speak to`},
		{name: "properties cut off", turn: func(r *reference) { r.shortenInit = 1 }, want: `protocol: a property's name is empty or cut off`},
		{name: "another's key", turn: func(r *reference) { r.public = &r.server }, want: "key: INITIATE's vouch does not open: the peer does not have the key that it shows"},
		{name: "low order C", turn: func(r *reference) { r.public = &low }, want: "key: INITIATE has a client's key that is none"},
		{name: "vouch for another C'", turn: func(r *reference) { r.vouchShort = *r.public }, want: "key: INITIATE's vouch is for another connection"},
		{name: "vouch for another S", turn: func(r *reference) { r.vouchServer = *r.public }, want: "key: INITIATE's vouch is for another connection"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, sc := ends(t, Curve, Dealer, Router)
			r := newReference(t, sc.Curve.Public)
			if c.turn != nil {
				c.turn(r)
			}
			h := NewHandshake(sc)
			if _, _, err := h.Receive(greeting(func(g []byte) { copy(g[12:], "CURVE") })); err != nil {
				t.Fatal(err)
			}
			_, out, err := h.Receive(r.hello())
			if err == nil {
				_, out, err = h.Receive(r.initiate(t, out))
			}
			if c.want != "" {
				if got := fmt.Sprint(err); err == nil || asError(err).Cause.String()+": "+asError(err).Detail != c.want {
					t.Errorf("%s, want %s", got, c.want)
				}
				if name, _ := parseFrame(t, out); name != "ERROR" {
					t.Errorf("sends %s", name)
				}
				return
			}
			if err != nil || h.Peer().Key != *r.public || h.Peer().Type != Dealer {
				t.Fatalf("%v, %+v", err, h.Peer())
			}
			r.checkReady(t, h.Session(), out)
		})
	}
}

// checkReady opens READY and a message each way.
func (r *reference) checkReady(t *testing.T, session *Session, ready []byte) {
	t.Helper()
	name, data := parseFrame(t, ready)
	plain, ok := box.Open(nil, data[8:], naclNonce("CurveZMQREADY---", string(data[:8])), &r.serverShort, r.shortSecret)
	if name != "READY" || !ok || string(plain) != "\x0bSocket-Type\x00\x00\x00\x06ROUTER" {
		t.Fatalf("%s with %q", name, plain)
	}
	frame := session.Seal(nil, Header{More: true}, []byte("text"))
	plain, ok = box.Open(nil, frame[2+8+8:], naclNonce("CurveZMQMESSAGES", string(frame[2+8:2+8+8])), &r.serverShort, r.shortSecret)
	if !ok || string(plain) != "\x01text" || string(frame[:10]) != "\x00\x25\x07MESSAGE" || string(frame[10:18]) <= string(data[:8]) {
		t.Fatalf("%q in % x", plain, frame)
	}
	if r.initNonce == 1<<64-1 {
		return // it has none left
	}
	for _, nonce := range []uint64{r.initNonce, r.initNonce + 1} {
		body := "\x07MESSAGE" + counter(nonce) + string(box.Seal(nil, []byte("\x02text"), naclNonce("CurveZMQMESSAGEC", counter(nonce)), &r.serverShort, r.shortSecret))
		h, plain, err := session.Open(nil, []byte(body))
		if nonce == r.initNonce {
			if !errors.Is(err, errNonce) {
				t.Errorf("INITIATE's nonce again: %v", err)
			}
			continue
		}
		if err != nil || h != (Header{Command: true, Size: 4}) || string(plain) != "text" {
			t.Errorf("%+v, %q, %v", h, plain, err)
		}
	}
}
