package zmqbridge

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/broker/rights"
	"github.com/zioflow/gateway/zmtp"
)

// shakeHands takes the connection to the point where messages come, and attaches its
// peer to the broker. It returns false if the peer was refused, or has left.
func (c *conn) shakeHands() bool {
	deadline := c.opened.Add(c.site.options.Handshake)
	if c.socket.SetDeadline(deadline) != nil {
		return false
	}
	if c.ending() { // whose deadline this has overwritten
		return false
	}
	handshake := zmtp.NewHandshake(c.config())
	c.zmtp = handshake.Peer()
	rest, err := c.exchange(handshake)
	if err != nil {
		c.refuse(handshake, err)
		return false
	}
	c.session = handshake.Session()
	c.site.stats.outcomes.add(outcomeOK)
	c.attach()
	c.in.begin(rest)
	_ = c.socket.SetWriteDeadline(time.Time{})
	_ = c.socket.SetReadDeadline(time.Time{})
	if c.ending() {
		_ = c.socket.SetReadDeadline(time.Unix(1, 0))
	}
	c.members.established(c)
	return true
}

// exchange exchanges the handshake's bytes. What comes behind it is left in the slab
// that it returns, nil for nothing.
func (c *conn) exchange(h *zmtp.Handshake) (rest *unread, err error) {
	if err := c.send(h.Start()); err != nil {
		return nil, err
	}
	in := &unread{}
	defer func() {
		if rest == nil {
			in.drop()
		}
	}()
	for !h.Done() {
		n, err := c.socket.read(in.space, in.idle)
		if err != nil {
			return nil, err
		}
		c.lastSeen.Store(time.Now().UnixNano()) // before READY tells the peer that it is heard
		in.to += n
		c.bytesIn.Add(uint64(n))
		c.site.stats.bytesIn.Add(uint64(n))
		used, out, err := h.Receive(in.bytes())
		in.from += used
		c.finalSent = err != nil && len(out) > 0
		if sendErr := c.send(out); err == nil {
			err = sendErr
		}
		if err != nil {
			return nil, err
		}
	}
	c.resumedAt.Store(time.Now().UnixNano()) // it may have waited for its name
	if len(in.bytes()) == 0 {
		return nil, nil
	}
	return in, nil
}

// send writes a command of the handshake. No peer makes it wait: what is sent in all
// fits into any socket.
func (c *conn) send(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	n, err := c.socket.Write(b)
	c.wrote(n)
	return err
}

// config is the endpoint's side of the handshake.
func (c *conn) config() *zmtp.Config {
	config := &zmtp.Config{}
	if curve := c.site.hub.curve.Load(); curve != nil && !c.local {
		*config = *curve // with its keys prepared
	}
	config.Type, config.AsServer, config.Authorize = c.site.kind, true, c.authorize
	return config
}

// authorize says whether the peer is let in. Its socket type fits, and its key is its
// own.
func (c *conn) authorize(p *zmtp.Peer) error {
	c.zmtp = p
	if p.Mechanism == zmtp.Curve {
		principal, err := c.site.options.Access.Key(access.CurveKey(p.Key))
		if err != nil {
			return err
		}
		c.principal = principal
	}
	if !c.members.takeSlot(c) {
		return &refused{outcomeBusy, fmt.Sprintf("the gateway has %d connections here, as many as it may", c.site.options.MaxConnections)}
	}
	return c.members.claim(c)
}

// attach makes the connection a peer of the broker.
func (c *conn) attach() {
	var grant rights.Grant
	if c.principal != nil {
		grant = c.principal
	}
	c.peer = c.site.hub.broker.AttachWith(&c.out, c.info(), grant)
	c.peer.Pauses()
	c.peer.Stays()
	c.account, c.output = c.peer.Bytes(), c.peer.Output()
	c.in.attach(c.peer, c.account, c.session)
	c.out.write.output, c.out.write.session = c.output, c.session
}

// refuse tells why a handshake has failed: a counter and the log.
func (c *conn) refuse(h *zmtp.Handshake, err error) {
	outcome, detail := c.judge(h, err)
	if outcome == "" {
		return
	}
	c.site.stats.outcomes.add(outcome)
	if denial, ok := errors.AsType[*access.Denial](err); ok {
		c.refuseEntry(denial)
		return
	}
	if c.site.options.Access != nil && !c.local {
		switch outcome {
		case outcomeMechanism:
			c.refuseEntry(&access.Denial{Cause: access.NoCurve, Detail: detail})
			return
		case outcomeLeft:
			// libzmq without CURVE leaves when it has seen our greeting.
			c.refuseEntry(&access.Denial{
				Cause: access.NoCurve, Detail: "a peer without CURVE, or a probe, came to an address that asks for CURVE",
			})
			return
		case outcomeKey:
			c.refuseEntry(&access.Denial{Cause: access.Handshake, Detail: "the CURVE handshake failed: " + detail})
			return
		}
	}
	level := slog.LevelWarn
	if outcome == outcomeLeft {
		level = slog.LevelInfo // a probe does so
	}
	c.log(level, "handshake "+string(outcome), "connection refused", "cause", string(outcome), "detail", detail)
}

// judge says how a handshake has ended; the outcome is empty where the gateway is
// closing.
func (c *conn) judge(h *zmtp.Handshake, err error) (outcome, string) {
	if r, ok := errors.AsType[*refused](err); ok {
		return r.outcome, r.detail
	}
	if d, ok := errors.AsType[*access.Denial](err); ok {
		return outcomeKey, d.Detail
	}
	if z, ok := errors.AsType[*zmtp.Error](err); ok {
		return outcome(z.Cause.String()), z.Detail
	}
	if c.ending() {
		return "", ""
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		_ = c.socket.SetWriteDeadline(time.Now().Add(time.Second))
		if h.Peer().Mechanism != "" {
			_ = c.send(zmtp.AppendError(nil, "the handshake takes too long"))
			c.finalSent = true
		}
		return outcomeSlow, fmt.Sprintf("the handshake was not over after %v: %s did not come", c.site.options.Handshake, h.Waiting())
	case errors.Is(err, io.EOF):
		return outcomeLeft, "the peer closed the connection before its " + h.Waiting()
	default:
		return outcomeLeft, "the connection was lost before the peer's " + h.Waiting() + ": " + reasonOf(err)
	}
}
