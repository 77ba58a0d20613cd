//go:build gc && !purego

package zmtp

import (
	"encoding/binary"
	"math"

	"golang.org/x/sys/cpu"
)

// groupSize is what cryptGroups makes at a time: six blocks.
const groupSize = 6 * blockSize

var (
	hasGroups = cpu.X86.HasAVX2
	aheadSize = aheadFor(hasGroups)
)

// aheadFor is a group, or what package salsa makes at a time.
func aheadFor(groups bool) int {
	if groups {
		return groupSize
	}
	return 4 * blockSize
}

// cryptGroups XORs groups*groupSize bytes, more than none, with Salsa20's key
// stream. dst and src are the same or do not overlap. state is that of the
// first two blocks, side by side, and is advanced; the blocks' numbers must
// stay below 2^32.
//
//go:noescape
func cryptGroups(dst, src *byte, groups uint64, state *[4][8]uint32)

// xorGroups does as much of salsa.XORKeyStream's work as comes in groups, and
// returns how many bytes that is.
func xorGroups(dst, src []byte, block *[16]byte, key *[32]byte) int {
	groups := len(src) / groupSize
	first := binary.LittleEndian.Uint64(block[8:])
	if groups == 0 || !hasGroups || first > math.MaxUint32 || uint64(len(src)/blockSize) > math.MaxUint32-first {
		return 0
	}
	k := func(i int) uint32 { return binary.LittleEndian.Uint32(key[4*i:]) }
	n := func(i int) uint32 { return binary.LittleEndian.Uint32(block[4*i:]) }
	state := [4][8]uint32{
		{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}, // "expand 32-byte k"
		{k(3), 0, k(7), k(2)},
		{uint32(first), k(6), k(1), n(1)},
		{k(5), k(0), n(0), k(4)},
	}
	for i := range state {
		copy(state[i][4:], state[i][:4])
	}
	state[2][4]++
	done := groups * groupSize
	cryptGroups(&dst[:done][0], &src[0], uint64(groups), &state)
	return done
}
