package zioflow

import "sync"

// readAhead is how many bytes a taker reads before they are asked for; gRPC holds
// back what comes after them. That far the giver's EOT is seen behind messages that
// were not taken yet.
const readAhead = 1 << 20

// datOverhead is what a message counts besides its bytes.
const datOverhead = 256

// shelf has the messages that were read and not taken yet. One puts, many may take.
type shelf struct {
	came chan struct{} // holds a token while there may be a message
	room chan struct{} // holds a token when there may be room again

	mu    sync.Mutex
	dats  []Dat // guarded by mu
	bytes int   // guarded by mu; of those
}

func newShelf() shelf {
	return shelf{came: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

func sizeOf(d *Dat) int {
	n := datOverhead + len(d.Label)
	for _, part := range d.Payload {
		n += len(part)
	}
	return n
}

// put adds a message, and tells whether there is room for another.
func (s *shelf) put(d Dat) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dats = append(s.dats, d)
	s.bytes += sizeOf(&d)
	signal(s.came)
	return s.bytes < readAhead
}

// hasRoom tells whether there is room for a message.
func (s *shelf) hasRoom() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes < readAhead
}

// take takes the oldest message; false if there is none.
func (s *shelf) take() (d Dat, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.dats) == 0 {
		return d, false
	}
	d, s.dats[0] = s.dats[0], Dat{}
	if s.dats = s.dats[1:]; len(s.dats) > 0 {
		signal(s.came) // for another who waits
	} else {
		s.dats = nil
	}
	s.bytes -= sizeOf(&d)
	signal(s.room)
	return d, true
}

// drop forgets what is there.
func (s *shelf) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dats, s.bytes = nil, 0
	signal(s.room)
}

// signal leaves a token, unless there is one.
func signal(token chan struct{}) {
	select {
	case token <- struct{}{}:
	default:
	}
}
