package zmqbridge

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zioflow/gateway/broker/flow"
)

// cutOff is why a connection was ended from this side.
type cutOff struct {
	cause  cause
	reason flow.Reason // of its flow; NotEnded: the peer has gone
	detail string
}

// ender ends a connection, whoever finds that it has to end. Its methods may be called
// concurrently, and do not wait.
type ender struct {
	socket      *socket
	panics      *atomic.Uint64 // counts those on connections' paths
	reportPanic func(problem any, stack []byte)

	stop     chan struct{} // closed when the connection is being ended
	stopping sync.Once
	end      cutOff        // set before stop is closed
	drained  chan struct{} // holds a token when nothing waits to be written
	failed   atomic.Bool   // a panic has ended it
}

// recover ends a connection on whose path something has panicked, and no other. It is
// deferred by whoever works for the connection.
func (e *ender) recover() {
	if problem := recover(); problem != nil {
		e.panicked(problem)
	}
}

// panicked ends the connection because of a panic, and counts it once.
func (e *ender) panicked(problem any) {
	if !e.failed.Swap(true) {
		e.panics.Add(1)
	}
	e.cutFlow(causePanic, flow.PeerGone, "an error in the gateway")
	e.reportPanic(problem, debug.Stack())
}

// idle tells that nothing waits to be written.
func (e *ender) idle() {
	select {
	case e.drained <- struct{}{}:
	default:
	}
}

// cut has the connection end: its goroutine stops reading. The first call says why.
// It may be called concurrently, and does not wait.
func (e *ender) cut(why cause, detail string) { e.cutFlow(why, flow.NotEnded, detail) }

// cutFlow is cut for a fault for which the flow ends with that reason.
func (e *ender) cutFlow(why cause, reason flow.Reason, detail string) {
	e.stopping.Do(func() {
		e.end = cutOff{why, reason, detail}
		close(e.stop)
		_ = e.socket.SetReadDeadline(time.Unix(1, 0)) // wakes the reader
	})
}

// ending tells whether the connection is being ended.
func (e *ender) ending() bool {
	select {
	case <-e.stop:
		return true
	default:
		return false
	}
}
