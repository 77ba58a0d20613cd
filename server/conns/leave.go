package conns

import (
	"sync"
	"time"
)

// leavePatience is how long a connection that has carried no flow may stay once the server
// stops: for its calls to be told, by a peer that reads.
const leavePatience = 500 * time.Millisecond

// Leave has the connections end of which gRPC would wait for the peer to close them, or to
// answer: when all is written that there is for it, the peer is told so by the end of what
// it reads, and one that has carried no flow is closed after leavePatience in any case.
// It is to be called once, when the server stops; what it returns waits for all of them.
func (t *Table) Leave() (wait func()) {
	var leaving sync.WaitGroup
	for _, c := range t.leaving() {
		leaving.Go(c)
	}
	return leaving.Wait
}

// leaving returns for each connection what has it end.
func (t *Table) leaving() (all []func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.all {
		written, carried := c.written, c.carried
		all = append(all, func() { c.leave(written, carried) })
	}
	return all
}

// leave waits for the connection's end, and brings it about.
func (c *Conn) leave(written <-chan struct{}, carried bool) {
	var patience <-chan time.Time
	if !carried {
		timer := time.NewTimer(leavePatience)
		defer timer.Stop()
		patience = timer.C
	}
	for {
		select {
		case <-written: // nil, and never, where no call has come
			written = nil
			if half, can := c.socket.(interface{ CloseWrite() error }); can {
				_ = half.CloseWrite() // it may have gone meanwhile
			}
		case <-patience:
			_ = c.Close()
			return
		case <-c.gone:
			return
		}
	}
}
