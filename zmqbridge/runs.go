package zmqbridge

// outRun is bytes that lie one behind the other.
type outRun struct{ b []byte }

// runList is runs that go out one after the other.
type runList struct {
	runs  []outRun
	first int // the first that is not written whole
	bytes int // in all
}

func (l *runList) reset() {
	clear(l.runs)
	l.runs, l.first, l.bytes = l.runs[:0], 0, 0
	if cap(l.runs) > keepParts {
		l.runs = nil
	}
}

// addRun adds bytes. What follows the bytes before it in memory becomes one run
// with them.
func (l *runList) addRun(bytes []byte) {
	if len(bytes) == 0 {
		return
	}
	l.bytes += len(bytes)
	if n := len(l.runs); n > l.first {
		if last := &l.runs[n-1]; follows(last.b, bytes) {
			// The item before ends where its bytes end: it is released with this one.
			last.b = last.b[:len(last.b)+len(bytes)]
			return
		}
	}
	l.runs = append(l.runs, outRun{bytes})
}

// follows tells whether b lies behind a in the same slab's memory, which both are
// known to be parts of.
func follows(a, b []byte) bool {
	return cap(a) > len(a) && &a[:len(a)+1][len(a)] == &b[0]
}

// keepParts is how many parts, or runs, a list may have room for to be kept.
const keepParts = 1 << 10
