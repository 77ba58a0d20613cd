package zmqbridge

import (
	"fmt"
	"log/slog"
	"time"
)

// refused is why a peer is not let in, in words that it is told.
type refused struct {
	outcome outcome
	detail  string
}

func (r *refused) Error() string { return r.detail }

// Reason implements what zmtp looks for.
func (r *refused) Reason() string { return r.detail }

// claim gives a connection the name that its peer wants, if it wants one. Of two
// connections of one name the newer one is served if it comes from where the older
// one does, or shows the same key, or if the older one has shown no life for a
// while; the older one is closed then. Otherwise the newer one is refused.
//
// It is called before the peer is told that it is let in, so that the older one's
// messages are over by the time that the newer one sends any.
func (e *endpoint) claim(c *conn) error {
	name := c.zmtp.Identity
	if name == "" || e.single() {
		return nil
	}
	if name[0] == 0 {
		return &refused{outcomeName, "an identity must not begin with a zero byte"}
	}
	older, err := e.take(c, name)
	if older == nil || err != nil {
		return err
	}
	older.log(slog.LevelInfo, "replaced", "connection ended", "cause", string(causeReplaced),
		"identity", identityText(name), "by", c.address)
	older.cut(causeReplaced, "another connection has taken its name")
	return nil
}

// take gives c the name, and returns who has had it; nil for nobody.
func (e *endpoint) take(c *conn, name string) (older *conn, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	older = e.names[name]
	if older != nil && older != c && !older.yields(c, time.Now()) {
		return nil, &refused{outcomeName, fmt.Sprintf("the identity %.64q is in use by another connection", identityText(name))}
	}
	e.names[name] = c
	return older, nil
}

// yields tells whether a newer connection may take c's name.
func (c *conn) yields(to *conn, now time.Time) bool {
	switch {
	case c.principal != nil || to.principal != nil:
		if c.zmtp.Key == to.zmtp.Key {
			return true
		}
	case c.address == to.address:
		return true
	}
	heartbeat := c.endpoint.options.Heartbeat
	return heartbeat > 0 && now.Sub(time.Unix(0, c.lastSeen.Load())) > 2*heartbeat
}
