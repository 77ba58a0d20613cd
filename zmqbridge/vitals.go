package zmqbridge

import (
	"sync/atomic"
	"time"
)

// traffic counts bytes.
type traffic struct{ bytesIn, bytesOut atomic.Uint64 }

// vitals are the signs of life of a connection, for those who read it, write to it and
// look after it. They may be used concurrently.
type vitals struct {
	traffic
	total      *traffic      // of the endpoint
	moved      atomic.Uint64 // bytes of messages, either way
	lastSeen   atomic.Int64  // Unix nanoseconds of the last byte that came
	pinged     atomic.Int64  // likewise, of a PING that was not answered; 0 for none
	ttl        atomic.Int64  // of the last PING that came; 0 for none
	sentData   atomic.Bool   // a DAT was sent since the last byte came
	readPaused atomic.Bool   // it is not read from, since the budget has no room
	resumedAt  atomic.Int64  // Unix nanoseconds, before which silence does not count
}

// wrote takes note of bytes that the socket took.
func (v *vitals) wrote(n int) {
	v.bytesOut.Add(uint64(n))
	v.total.bytesOut.Add(uint64(n))
}

// read takes note of bytes that came, and so of a sign of life.
func (v *vitals) read(n int) {
	v.bytesIn.Add(uint64(n))
	v.total.bytesIn.Add(uint64(n))
	v.lastSeen.Store(time.Now().UnixNano())
	if v.pinged.Load() != 0 {
		v.pinged.Store(0)
	}
	if v.sentData.Load() {
		v.sentData.Store(false)
	}
}

// pauseReading takes note that the connection is not read from until listen: its peer's
// silence says nothing meanwhile.
func (v *vitals) pauseReading() { v.readPaused.Store(true) }

// resumeReading has the peer's silence count from now on.
func (v *vitals) resumeReading() {
	v.resumedAt.Store(time.Now().UnixNano())
	v.pinged.Store(0)
	v.readPaused.Store(false) // last, for check
}

// silent is for how long the peer could be heard and was not.
func (v *vitals) silent(now time.Time) time.Duration {
	return time.Duration(now.UnixNano() - max(v.lastSeen.Load(), v.resumedAt.Load()))
}
