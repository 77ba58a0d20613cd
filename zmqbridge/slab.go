package zmqbridge

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zioflow/gateway/broker/budget"
)

// slab is memory into which a connection reads, and in which messages lie until
// they have left. It is given back when nothing refers to it any more. hold and
// release may be called concurrently.
type slab struct {
	refs    atomic.Int32
	class   int
	account *budget.Account // charged with the slab's size; nil if none
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

// freeSlabs keeps slabs that nobody uses, by class: a list of Go's own would be
// emptied at every garbage collection, which large slabs bring about. The latest to
// come goes first, since a processor's cache may still have it.
var freeSlabs [len(slabSizes)]freeList

// maxFree bounds what the list of one class holds, in bytes.
const maxFree = 32 << 20

// freeList is the slabs of one class.
type freeList struct {
	mu    sync.Mutex
	slabs []*slab // guarded by mu
	least int     // guarded by mu; how few there were since the last trim
}

func (l *freeList) take() *slab {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.slabs) - 1
	if n < 0 {
		return nil
	}
	s := l.slabs[n]
	l.slabs[n] = nil
	l.slabs = l.slabs[:n]
	l.least = min(l.least, n)
	return s
}

func (l *freeList) put(s *slab) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if (len(l.slabs)+1)*len(s.data) <= max(maxFree, len(s.data)) {
		l.slabs = append(l.slabs, s)
	} else {
		givenUp.Add(int64(len(s.data)))
	}
}

// trim gives up half of the slabs that were not needed since the last time.
func (l *freeList) trim() {
	l.mu.Lock()
	defer l.mu.Unlock()
	keep := len(l.slabs) - (l.least+1)/2
	for _, s := range l.slabs[keep:] {
		givenUp.Add(int64(len(s.data)))
	}
	clear(l.slabs[keep:])
	l.slabs = l.slabs[:keep]
	l.least = keep
}

// givenUp is how many bytes of slabs the garbage collector has been left with since the
// system was last given memory back.
var givenUp atomic.Int64

// returnFrom is from how much on it is given back at once, and not when the runtime
// comes by, which after a burst can be minutes later.
const returnFrom = 64 << 20

// trimInterval is how often slabs that nobody needs are given up.
const trimInterval = time.Second

// trimSlabs gives up what is not needed until stop is closed.
func trimSlabs(stop <-chan struct{}) {
	ticker := time.NewTicker(trimInterval)
	defer ticker.Stop()
	var returned time.Time
	for {
		select {
		case <-ticker.C:
			for i := range freeSlabs {
				freeSlabs[i].trim()
			}
			if givenUp.Load() > returnFrom && time.Since(returned) > 10*trimInterval {
				givenUp.Store(0)
				debug.FreeOSMemory()
				returned = time.Now()
			}
		case <-stop:
			return
		}
	}
}

// slabClass is the smallest class that holds n bytes; false where none does.
func slabClass(n int) (int, bool) {
	for class, size := range slabSizes {
		if n <= size {
			return class, true
		}
	}
	return 0, false
}

// newSlab is a slab of that class, held once, and charged to no account.
func newSlab(class int) *slab {
	s := freeSlabs[class].take()
	if s == nil {
		s = &slab{class: class, data: make([]byte, slabSizes[class])}
	}
	s.refs.Store(1)
	return s
}

// newSlabFor is a slab that holds n bytes, held once, and charged to no account.
func newSlabFor(n int) *slab {
	if class, ok := slabClass(n); ok {
		return newSlab(class)
	}
	s := &slab{class: -1, data: make([]byte, n)}
	s.refs.Store(1)
	return s
}

// charge puts the slab on an account, which has been charged for it already.
func (s *slab) charged(a *budget.Account) *slab {
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
		freeSlabs[s.class].put(s)
	}
}

// segment is a run of bytes in a slab; the slab is nil for memory of Go's.
type segment struct {
	slab *slab
	b    []byte
}
