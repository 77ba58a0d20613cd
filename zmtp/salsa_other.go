//go:build !amd64 || !gc || purego

package zmtp

// aheadSize is little: package salsa makes one block after the other.
const aheadSize = 2 * blockSize

// xorGroups is for processors that have something faster than package salsa.
func xorGroups(_, _ []byte, _ *[16]byte, _ *[32]byte) int { return 0 }
