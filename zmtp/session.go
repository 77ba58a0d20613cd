package zmtp

import (
	"encoding/binary"

	"golang.org/x/crypto/nacl/secretbox"
)

// A CURVE MESSAGE (RFC 26): the command's name, a nonce of 8 bytes, and a box
// with a byte of flags and the body.
const (
	messageName   = "\x07MESSAGE"
	messagePrefix = len(messageName) + 8

	innerMore    = 0x01
	innerCommand = 0x02

	noncePrefix = 16 // of a nonce's 24 bytes, those that do not change
)

// Overhead is how much longer the body of a CURVE MESSAGE is than the body of
// the frame inside it.
const Overhead = messagePrefix + secretbox.Overhead + 1

// Session is the cipher of an established CURVE connection. Open and Seal may
// be called concurrently with each other, but neither with itself.
type Session struct {
	key [32]byte // does not change

	// Open's
	openNonce [24]byte // its last 8 bytes are those of the last message

	// Seal's
	sealNonce [24]byte
	seal      []byte
}

func newSession(key *[32]byte, sealPrefix string, sealed uint64, openPrefix string, opened uint64) *Session {
	return &Session{key: *key, sealNonce: *counted(sealPrefix, sealed), openNonce: *counted(openPrefix, opened)}
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
// dst, which must not overlap body; plain is that part of dst. h has the inner
// frame's flags and size. After an error the connection is to be closed.
func (s *Session) Open(dst, body []byte) (h Header, plain []byte, err error) {
	if len(body) < len(messageName) || string(body[:len(messageName)]) != messageName {
		return Header{}, nil, errNoMessage
	}
	if len(body) < Overhead {
		return Header{}, nil, errShortMessage
	}
	nonce := body[len(messageName):messagePrefix]
	if binary.BigEndian.Uint64(nonce) <= binary.BigEndian.Uint64(s.openNonce[noncePrefix:]) {
		return Header{}, nil, errNonce
	}
	copy(s.openNonce[noncePrefix:], nonce)
	all, ok := secretbox.Open(nil, body[messagePrefix:], &s.openNonce, &s.key)
	if !ok {
		return Header{}, nil, errBox
	}
	if all[0]&^(innerMore|innerCommand) != 0 {
		return Header{}, nil, errInnerFlags
	}
	h = Header{More: all[0]&innerMore != 0, Command: all[0]&innerCommand != 0, Size: uint64(len(all) - 1)}
	at := len(dst)
	dst = append(dst, all[1:]...)
	return h, dst[at:], nil
}

// Seal appends a whole outer frame, a message as libzmq sends it, to dst. The
// inner frame has h's flags; its body is made of the given slices, which must
// not overlap dst. h.Size is not used.
func (s *Session) Seal(dst []byte, h Header, body ...[]byte) []byte {
	var flags byte
	if h.More {
		flags |= innerMore
	}
	if h.Command {
		flags |= innerCommand
	}
	s.seal = append(s.seal[:0], flags)
	for _, part := range body {
		s.seal = append(s.seal, part...)
	}
	nonce := binary.BigEndian.Uint64(s.sealNonce[noncePrefix:]) + 1
	binary.BigEndian.PutUint64(s.sealNonce[noncePrefix:], nonce)
	dst = AppendHeader(dst, Header{Size: uint64(len(s.seal) - 1 + Overhead)})
	dst = append(dst, messageName...)
	dst = append(dst, s.sealNonce[noncePrefix:]...)
	return secretbox.Seal(dst, s.seal, &s.sealNonce, &s.key)
}
