//go:build !linux

package zmqbridge

// iovecs is what one call writes.
type iovecs struct {
	list [maxRuns][]byte
	n    int
}

// maxRuns is how many runs one call writes.
const maxRuns = 128

func (v *iovecs) reset() { v.n = 0 }

func (v *iovecs) full() bool { return v.n == maxRuns }

// add adds a run that is not empty.
func (v *iovecs) add(b []byte) {
	v.list[v.n] = b
	v.n++
}

func (v *iovecs) clear() { clear(v.list[:v.n]) }
