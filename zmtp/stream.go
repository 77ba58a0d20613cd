package zmtp

import (
	"crypto/subtle"
	"encoding/binary"

	"golang.org/x/crypto/poly1305"      //nolint:staticcheck // secretbox's own parts
	"golang.org/x/crypto/salsa20/salsa" //nolint:staticcheck // secretbox's own parts
)

// stream is the key stream of one box of nacl/secretbox (XSalsa20-Poly1305),
// for use in pieces: a box is made or opened in one pass, out of several slices
// and into the place where it belongs. secretbox wants the plaintext in one
// slice, with CURVE's byte of flags in front, and goes over it twice.
//
// The stream's first 32 bytes are Poly1305's key, the rest encrypts; the
// ciphertext is what is authenticated. The MAC is an argument so that it stays
// on its caller's stack.
type stream struct {
	key   *[32]byte
	block [16]byte        // nonce, number of the next block
	ahead [aheadMost]byte // of which aheadSize bytes are used
	used  int             // of these
}

const (
	blockSize = 64
	// aheadMost is the greatest aheadSize, which is how much is made at a time
	// for pieces that are smaller than that: as many blocks as cost little more
	// than one.
	aheadMost = 6 * blockSize
	// passSize is how much is encrypted and then authenticated while it is in
	// the processor's nearest cache.
	passSize = 8192
)

// deriveKey is HSalsa20. It makes the key of all boxes whose nonces begin with
// the same 16 bytes, which all messages of one direction do; and, with 16
// zeros, the key of a nacl/box out of two keys' product.
func deriveKey(key *[32]byte, prefix string) (derived [32]byte) {
	var first [16]byte
	copy(first[:], prefix)
	salsa.HSalsa20(&derived, &first, key, &salsa.Sigma)
	return derived
}

// newStream begins a message, given the nonce's other 8 bytes.
func newStream(key *[32]byte, nonce uint64) (s stream, macKey [32]byte) {
	s.key = key
	binary.BigEndian.PutUint64(s.block[:], nonce)
	s.refill()
	s.used = copy(macKey[:], s.ahead[:])
	return s, macKey
}

// refill makes key stream ahead.
func (s *stream) refill() {
	s.ahead = [aheadMost]byte{}
	s.xorBlocks(s.ahead[:aheadSize], s.ahead[:aheadSize])
	s.used = 0
}

// xorBlocks is for whole blocks.
func (s *stream) xorBlocks(dst, src []byte) {
	n := xorGroups(dst, src, &s.block, s.key)
	s.advance(n)
	salsa.XORKeyStream(dst[n:], src[n:], &s.block, s.key)
	s.advance(len(src) - n)
}

func (s *stream) advance(size int) {
	number := binary.LittleEndian.Uint64(s.block[8:])
	binary.LittleEndian.PutUint64(s.block[8:], number+uint64(size/blockSize))
}

// xor crypts src into dst, which is as long; they are the same or do not
// overlap.
func (s *stream) xor(dst, src []byte) {
	for len(src) > 0 {
		if s.used == aheadSize && len(src) < aheadSize {
			s.refill()
		}
		var n int
		if s.used < aheadSize {
			n = subtle.XORBytes(dst, src, s.ahead[s.used:aheadSize])
			s.used += n
		} else {
			n = len(src) &^ (blockSize - 1)
			s.xorBlocks(dst[:n], src[:n])
		}
		dst, src = dst[n:], src[n:]
	}
}

// encrypt puts src's ciphertext in dst, which is as long.
func (s *stream) encrypt(mac *poly1305.MAC, dst, src []byte) {
	for len(src) > 0 {
		n := min(len(src), passSize)
		s.xor(dst[:n], src[:n])
		_, _ = mac.Write(dst[:n]) // never fails
		dst, src = dst[n:], src[n:]
	}
}

// decrypt puts src's plaintext in dst, which is as long and may be src. None of
// it may be used before the MAC is verified.
func (s *stream) decrypt(mac *poly1305.MAC, dst, src []byte) {
	for len(src) > 0 {
		n := min(len(src), passSize)
		_, _ = mac.Write(src[:n]) // never fails
		s.xor(dst[:n], src[:n])
		dst, src = dst[n:], src[n:]
	}
}
