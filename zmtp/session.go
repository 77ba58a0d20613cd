package zmtp

import (
	"encoding/binary"
	"slices"

	"golang.org/x/crypto/poly1305" //nolint:staticcheck // see stream.go
)

// A CURVE MESSAGE (RFC 26): the command's name, a nonce of 8 bytes, and a box
// with a byte of flags and the body.
const (
	messageName = "\x07MESSAGE"
	messageBox  = 8 + shortNonce // where the box begins
	messageText = messageBox + boxOverhead

	innerMore    = 0x01
	innerCommand = 0x02
)

// Overhead is how much longer the body of a CURVE MESSAGE is than the body of
// the frame inside it.
const Overhead = messageText + 1

// Session is the cipher of an established CURVE connection. Open and Seal may
// be called concurrently with each other, but neither with itself.
type Session struct {
	open, seal way
}

// way is one direction.
type way struct {
	key  [32]byte
	last uint64 // the nonce of the last message
}

func newSession(key *[32]byte, sealPrefix string, sealed uint64, openPrefix string, opened uint64) *Session {
	return &Session{
		open: way{key: deriveKey(key, openPrefix), last: opened},
		seal: way{key: deriveKey(key, sealPrefix), last: sealed},
	}
}

var (
	errNoMessage    = protocolError("a CURVE frame is no MESSAGE")
	errShortMessage = protocolError("a CURVE MESSAGE is cut off")
	errNonce        = protocolError("a CURVE MESSAGE's nonce has not grown")
	errBox          = &Error{Cause: CauseKey, Detail: "a CURVE MESSAGE's box does not open"}
	errInnerFlags   = protocolError("a CURVE MESSAGE has reserved flags set")
)

// Open takes the whole body of an outer frame, which libzmq sends as a message
// and RFC 26 as a command: accept both. It appends the inner frame's body to
// dst, which must not overlap body; plain is that part of the result. h has the
// inner frame's flags and size. After an error the connection is to be closed.
func (s *Session) Open(dst, body []byte) (h Header, plain []byte, err error) {
	if err := s.check(body); err != nil {
		return Header{}, nil, err
	}
	size := len(body) - Overhead
	dst = slices.Grow(dst, size)
	return s.open.decrypt(dst[len(dst):len(dst)+size], body)
}

// OpenInPlace is Open that puts the inner frame's body where its ciphertext
// was: plain is the end of body.
func (s *Session) OpenInPlace(body []byte) (h Header, plain []byte, err error) {
	if err := s.check(body); err != nil {
		return Header{}, nil, err
	}
	return s.open.decrypt(body[Overhead:], body)
}

// check does all that costs nothing.
func (s *Session) check(body []byte) error {
	if len(body) < len(messageName) || string(body[:len(messageName)]) != messageName {
		return errNoMessage
	}
	if len(body) < Overhead {
		return errShortMessage
	}
	if binary.BigEndian.Uint64(body[len(messageName):]) <= s.open.last {
		return errNonce
	}
	return nil
}

// decrypt opens the box of a MESSAGE into plain. It leaves nothing there that
// is not authentic.
func (w *way) decrypt(plain, body []byte) (Header, []byte, error) {
	nonce := binary.BigEndian.Uint64(body[len(messageName):])
	box, macKey := newStream(&w.key, nonce)
	mac := poly1305.New(&macKey)
	flags := [1]byte{body[messageText]}
	box.decrypt(mac, flags[:], flags[:])
	box.decrypt(mac, plain, body[Overhead:])
	if !mac.Verify(body[messageBox:messageText]) {
		clear(plain)
		return Header{}, nil, errBox
	}
	w.last = nonce
	if flags[0]&^(innerMore|innerCommand) != 0 {
		return Header{}, nil, errInnerFlags
	}
	h := Header{More: flags[0]&innerMore != 0, Command: flags[0]&innerCommand != 0, Size: uint64(len(plain))}
	return h, plain, nil
}

// Seal appends a whole outer frame, a message as libzmq sends it, to dst. The
// inner frame has h's flags; its body is made of the given slices, which must
// not overlap dst. h.Size is not used.
func (s *Session) Seal(dst []byte, h Header, body ...[]byte) []byte {
	size := Overhead
	for _, part := range body {
		size += len(part)
	}
	dst = AppendHeader(slices.Grow(dst, MaxHeader+size), Header{Size: uint64(size)})
	dst = append(dst, messageName...)
	s.seal.last++ // 2^64 messages are never sent
	dst = binary.BigEndian.AppendUint64(dst, s.seal.last)
	dst = dst[:len(dst)+boxOverhead]
	tag := dst[len(dst)-boxOverhead:]

	box, macKey := newStream(&s.seal.key, s.seal.last)
	mac := poly1305.New(&macKey)
	flags := [1]byte{innerFlags(h)}
	dst = append(dst, 0)
	box.encrypt(mac, dst[len(dst)-1:], flags[:])
	for _, part := range body {
		at := len(dst)
		dst = dst[:at+len(part)]
		box.encrypt(mac, dst[at:], part)
	}
	mac.Sum(tag[:0])
	return dst
}

func innerFlags(h Header) (flags byte) {
	if h.More {
		flags |= innerMore
	}
	if h.Command {
		flags |= innerCommand
	}
	return flags
}
