package zmqbridge

import (
	"sync"
	"sync/atomic"

	"github.com/zioflow/gateway/broker"
)

// slab is memory into which a connection reads, and in which messages lie until
// they have left. It is given back when nothing refers to it any more. hold and
// release may be called concurrently.
type slab struct {
	refs    atomic.Int32
	class   int
	account *broker.ByteAccount // charged with the slab's size; nil if none
	data    []byte
}

// slabSizes are the classes of slabs. Reading begins with the smallest, so that a
// connection on which little comes holds little, and goes on with larger ones as
// they fill. The largest serve frames that must lie in one piece: CURVE's.
var slabSizes = [...]int{8 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20}

// Classes with a name.
const (
	classSmall   = 0
	classBurst   = 1 // a connection on which much comes at a time
	classLargest = 3 // of those that are filled piece by piece
)

var slabPools [len(slabSizes)]sync.Pool

// slabClass is the smallest class that holds n bytes; false where none does.
func slabClass(n int) (int, bool) {
	for class, size := range slabSizes {
		if n <= size {
			return class, true
		}
	}
	return 0, false
}

// newSlab is a slab of that class, held once, in nobody's account.
func newSlab(class int) *slab {
	s, _ := slabPools[class].Get().(*slab)
	if s == nil {
		s = &slab{class: class, data: make([]byte, slabSizes[class])}
	}
	s.refs.Store(1)
	return s
}

// newSlabFor is a slab that holds n bytes, held once, in nobody's account.
func newSlabFor(n int) *slab {
	if class, ok := slabClass(n); ok {
		return newSlab(class)
	}
	s := &slab{class: -1, data: make([]byte, n)}
	s.refs.Store(1)
	return s
}

// charge puts the slab on an account, which has been charged for it already.
func (s *slab) charged(a *broker.ByteAccount) *slab {
	s.account = a
	return s
}

func (s *slab) hold() { s.refs.Add(1) }

func (s *slab) release() {
	if s.refs.Add(-1) > 0 {
		return
	}
	if s.account != nil {
		s.account.Release(int64(len(s.data)))
		s.account = nil
	}
	if s.class >= 0 {
		slabPools[s.class].Put(s)
	}
}

// segment is a run of bytes in a slab; the slab is nil for memory of Go's.
type segment struct {
	slab *slab
	b    []byte
}
