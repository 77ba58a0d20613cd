// Package memory tells how much memory the process may use.
package memory

import (
	"os"

	"github.com/pbnjay/memory"
)

// Limit is the smaller of what the machine has and what the process's control
// groups (containers, systemd's MemoryMax) let it have, in bytes; 0 where neither
// can be known. Limits of other kinds, such as Windows' job objects, are not seen.
func Limit() int64 {
	return smaller(int64(memory.TotalMemory()), groupLimit(os.DirFS("/")))
}

// smaller is the smaller of two limits, of which 0 is none.
func smaller(a, b int64) int64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}
