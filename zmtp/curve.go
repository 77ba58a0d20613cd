package zmtp

import (
	"crypto/ecdh"
	"encoding/binary"

	"golang.org/x/crypto/nacl/secretbox"
)

// CURVE is CurveZMQ (RFC 26). C and S are the long-term keys of client and
// server, C' and S' those of one connection; small letters are secret keys.
//
// Sizes of the commands' data, that is without their names:
const (
	helloSize    = 2 + helloPadding + keySize + shortNonce + boxOverhead + 64
	helloPadding = 72
	welcomeSize  = longNonce + boxOverhead + keySize + cookieSize
	cookieSize   = longNonce + boxOverhead + 2*keySize
	vouchSize    = longNonce + boxOverhead + 2*keySize
	minInitiate  = cookieSize + shortNonce + boxOverhead + keySize + vouchSize
	minReady     = shortNonce + boxOverhead

	keySize     = 32
	shortNonce  = 8
	longNonce   = 16
	boxOverhead = secretbox.Overhead
)

// nonce is 24 bytes: a prefix for what it is used for, and either a counter of
// the sender's or 16 random bytes.
type nonce = [24]byte

func nonceOf(prefix string, rest []byte) *nonce {
	var n nonce
	copy(n[copy(n[:], prefix):], rest)
	return &n
}

// counted is a nonce with a counter.
func counted(prefix string, counter uint64) *nonce {
	return nonceOf(prefix, binary.BigEndian.AppendUint64(nil, counter))
}

// boxKey is the key of the boxes between two keys, the same in both
// directions: what nacl/box precomputes. It is refused if public is one of the
// few points for which everybody knows it.
func boxKey(secret *ecdh.PrivateKey, public []byte) (*[32]byte, bool) {
	point, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, false
	}
	product, err := secret.ECDH(point)
	if err != nil {
		return nil, false
	}
	shared := [32]byte(product)
	key := deriveKey(&shared, "")
	return &key, true
}

// newKey makes a key for one connection.
func (h *Handshake) newKey() *ecdh.PrivateKey {
	var secret [keySize]byte
	h.random(secret[:])
	key, _ := ecdh.X25519().NewPrivateKey(secret[:]) // every 32 bytes are one
	return key
}

// appendFrame appends a command's frame.
func appendFrame(out []byte, name string, data ...[]byte) []byte {
	size := 1 + len(name)
	for _, part := range data {
		size += len(part)
	}
	out = AppendHeader(out, Header{Command: true, Size: uint64(size)})
	out = append(out, byte(len(name)))
	out = append(out, name...)
	for _, part := range data {
		out = append(out, part...)
	}
	return out
}

func keyError(detail string) *Error { return &Error{Cause: CauseKey, Detail: detail} }
