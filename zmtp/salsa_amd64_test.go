//go:build gc && !purego

package zmtp

import (
	"bytes"
	"encoding/binary"
	"math"
	mathrand "math/rand/v2"
	"testing"

	"golang.org/x/crypto/salsa20/salsa" //nolint:staticcheck // what it is compared with
)

// TestGroups compares the assembly code with package salsa: keys, nonces,
// numbers of blocks with all bits, sizes, in place and not.
func TestGroups(t *testing.T) {
	t.Parallel()
	if !hasGroups {
		t.Skip("no AVX2 here")
	}
	random := mathrand.NewChaCha8([32]byte{5})
	for i := range 300 {
		var key [32]byte
		var block [16]byte
		src := make([]byte, 3+i*13)
		for _, b := range [][]byte{key[:], block[:], src} {
			_, _ = random.Read(b)
		}
		copy(block[12:], []byte{0, 0, 0, 0})
		if i%3 == 0 {
			binary.LittleEndian.PutUint64(block[8:], uint64(i/3))
		}
		want, got := make([]byte, len(src)), make([]byte, len(src))
		salsa.XORKeyStream(want, src, &block, &key)
		kept := block
		n := xorGroups(got, src, &block, &key)
		if n != len(src)/groupSize*groupSize || !bytes.Equal(got[:n], want[:n]) || block != kept {
			t.Fatalf("%d bytes from block %x: %d bytes, right: %t", len(src), block[8:], n, bytes.Equal(got[:n], want[:n]))
		}
		if !bytes.Equal(got[n:], make([]byte, len(got)-n)) {
			t.Fatalf("%d bytes: it has written behind byte %d", len(src), n)
		}
		xorGroups(src, src, &block, &key)
		if !bytes.Equal(src[:n], want[:n]) {
			t.Fatalf("%d bytes in place differ", len(src))
		}
	}
}

// TestGroupsEnd: blocks beyond number 2^32 are left to package salsa.
func TestGroupsEnd(t *testing.T) {
	t.Parallel()
	key := [32]byte{1}
	for first := uint64(math.MaxUint32 - 20); first < math.MaxUint32+20; first++ {
		s := stream{key: &key, used: aheadSize}
		binary.LittleEndian.PutUint64(s.block[8:], first)
		var want, got [2 * groupSize]byte
		salsa.XORKeyStream(want[:], want[:], &s.block, &key)
		if s.xor(got[:], got[:]); got != want || binary.LittleEndian.Uint64(s.block[8:]) != first+12 {
			t.Fatalf("differs at block %d", first)
		}
	}
}

// TestWithoutAVX2 is not parallel, so nothing else runs while it has AVX2
// turned off.
func TestWithoutAVX2(t *testing.T) {
	groups, ahead := hasGroups, aheadSize
	defer func() { hasGroups, aheadSize = groups, ahead }()
	hasGroups, aheadSize = false, aheadFor(false)
	compareWithNaclBox(t)
}
