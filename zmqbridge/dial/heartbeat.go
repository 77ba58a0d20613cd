package dial

import (
	"fmt"
	"time"

	"github.com/zioflow/gateway/zmtp"
)

// clock is the time since the session began.
func (s *session) clock() int64 { return int64(time.Since(s.started)) }

// seen takes note of a sign of life.
func (s *session) seen() {
	s.lastSeen.Store(s.clock())
	s.pinged.Store(0)
	s.wrote.Store(false)
}

// answer has a PONG written. One that waits already is replaced: of many PINGs that
// the peer does not wait for, the latest is answered.
func (s *session) answer(pong []byte) {
	s.mu.Lock()
	s.pong = pong
	s.mu.Unlock()
	s.hurry()
}

func (s *session) hurry() {
	select {
	case s.urgent <- struct{}{}:
	default:
	}
}

// heartbeats adds those that wait.
func (w *writer) heartbeats() {
	w.mu.Lock()
	pong, ping := w.pong, w.ping
	w.pong, w.ping = nil, false
	w.mu.Unlock()
	if pong != nil {
		w.command(pong)
	}
	if ping {
		// Without a TTL, which would have the peer close the connection while it is
		// the only one that sends.
		w.command(zmtp.AppendPing(make([]byte, 0, 16), 0, nil))
	}
}

// watch asks a peer that is silent whether it is there, until the session is
// being ended.
func (s *session) watch() {
	ticker := time.NewTicker(s.options.tick())
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case now := <-ticker.C:
			s.check(now.Sub(last))
			last = now
		case <-s.ctx.Done():
			return
		}
	}
}

// tick is how often to look, so that nothing is late by more than a quarter of what
// it may take.
func (o *Options) tick() time.Duration {
	least := time.Minute // for a TTL of the peer's
	if o.Heartbeat > 0 {
		least = min(least, o.Heartbeat, o.HeartbeatTimeout)
	}
	return min(max(least/4, 5*time.Millisecond), time.Second)
}

// check ends the session if the peer is silent, or asks it for a sign of life. That
// long ago it was called last.
func (s *session) check(ago time.Duration) {
	o, now := s.options, s.clock()
	switch {
	case s.full.Load() || s.severed.Load():
		return
	case ago > 4*o.tick():
		s.seen() // this process did not run: nobody was silent, nothing was read
		return
	}
	waiting := s.out.counted().Messages > 0
	s.transit.Watch(time.Now(), waiting, s.bytesOut.Load())
	silent := time.Duration(now - s.lastSeen.Load())
	if ttl := time.Duration(s.ttl.Load()); ttl > 0 && silent > max(ttl, o.Heartbeat) {
		s.silent(silent)
		return
	}
	if o.Heartbeat == 0 || !s.peer.Pings() {
		return
	}
	if pinged := s.pinged.Load(); pinged != 0 {
		// A PING that waits behind messages says nothing: its receiver may be busy.
		patience := o.HeartbeatTimeout
		if s.wrote.Load() {
			patience = max(patience, o.Stall)
		}
		patience += s.transit.Delay()
		if waited := time.Duration(now - pinged); waited > patience {
			s.silent(silent)
		}
		return
	}
	if silent >= o.Heartbeat && !waiting {
		s.pinged.Store(now)
		s.transit.Asked(s.bytesOut.Load())
		s.mu.Lock()
		s.ping = true
		s.mu.Unlock()
		s.hurry()
	}
}

func (s *session) silent(d time.Duration) {
	s.fail(Silent, fmt.Sprintf("the peer has given no sign of life for %v", d.Round(time.Millisecond)), nil)
}
