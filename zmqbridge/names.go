package zmqbridge

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/zioflow/gateway/zmtp"
)

// claim gives a connection the name that its peer wants, if it wants one. Of two
// connections of one name the newer one is served if it comes from where the older
// one does, or shows the same key, or if the older one shows no life for a while; the
// older one is closed then. Otherwise the newer one is refused.
//
// It is called before the peer is told that it is let in, and may wait: a peer that
// was refused does not come again by itself, so the older one is asked first.
func (e *endpoint) claim(c *conn) error {
	name := c.zmtp.Identity
	if name == "" || e.single() {
		return nil
	}
	if name[0] == 0 {
		return &refused{outcomeName, "an identity must not begin with a zero byte"}
	}
	deadline := time.Now().Add(e.patience())
	for {
		older := e.take(c, name, time.Now().After(deadline))
		if older == nil {
			return nil
		}
		if !older.alive(c, deadline) {
			continue
		}
		return &refused{outcomeName, fmt.Sprintf("the identity %.64q is in use by another connection", identityText(name))}
	}
}

// patience is for how long the older of two connections of one name may show no life.
func (e *endpoint) patience() time.Duration {
	if e.options.Heartbeat <= 0 {
		return e.options.Handshake / 2
	}
	return min(2*e.options.Heartbeat, e.options.Handshake/2)
}

// take gives c the name. It returns who has it, if that one neither yields nor must.
func (e *endpoint) take(c *conn, name string, must bool) *conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	older := e.names[name]
	if older != nil && (older == c || older.ending()) {
		older = nil
	}
	if older != nil && !must && !older.yields(c) {
		return older
	}
	e.names[name] = c
	if older != nil {
		older.log(slog.LevelInfo, "replaced", "connection ended", "cause", string(causeReplaced),
			"identity", identityText(name), "by", c.address)
		older.cut(causeReplaced, "another connection has taken its name")
	}
	return nil
}

// yields tells whether a newer connection may take c's name at once.
func (c *conn) yields(to *conn) bool {
	if c.principal != nil || to.principal != nil {
		return c.zmtp.Key == to.zmtp.Key
	}
	return c.address == to.address
}

// alive asks the peer for a sign of life on behalf of another connection, and waits
// for it. It returns false when there was none until the deadline, or when either
// connection ends. A peer that is not being read from by then counts as alive.
func (c *conn) alive(other *conn, deadline time.Time) bool {
	asked := time.Now().UnixNano()
	if c.zmtp.Pings() && !c.members.begins(c) { // before its READY nothing else may be sent
		c.out.ping(zmtp.AppendPing(make([]byte, 0, 16), 0, nil))
	}
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for c.lastSeen.Load() < asked {
		select {
		case <-c.stop:
			return false
		case <-other.stop:
			return true // so that it ends
		case now := <-look.C:
			if now.After(deadline) {
				return c.readPaused.Load()
			}
		}
	}
	return true
}
