package zmqbridge

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/zmtp"
)

// command deals with a command that came in the traffic.
func (c *conn) command(body []byte) error {
	name, data, err := zmtp.ParseCommand(body)
	if err != nil {
		return err
	}
	switch name {
	case "PING":
		ttl, context, err := zmtp.ParsePing(data)
		if err != nil {
			return err
		}
		c.ttl.Store(int64(ttl))
		c.out.answerPing(zmtp.AppendPong(make([]byte, 0, 32), context))
	case "ERROR":
		reason, _ := zmtp.ParseError(data)
		return &protocolFault{causeProtocol, fmt.Sprintf("the peer sent ERROR %q", reason)}
	}
	return nil // PONG is a sign of life like any other; what is not known is passed over
}

// supervise looks after the connections until the endpoint stops: asks those that
// are silent whether they are there, and ends those that do not answer, or take
// nothing.
func (e *endpoint) supervise() {
	ticker := time.NewTicker(e.options.tick())
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case now := <-ticker.C:
			// The process was stopped, or the machine: what has arrived meanwhile is
			// looked at before anybody is judged.
			paused := now.Sub(last) - 2*e.options.tick()
			last = now
			for _, c := range e.all() {
				c.look(now, paused > 0)
			}
		case <-e.stopped:
			return
		}
	}
}

// look looks after the connection. A panic ends this one.
func (c *conn) look(now time.Time, paused bool) {
	defer c.recover()
	if paused {
		c.forgive(now)
	} else {
		c.check(now)
	}
}

// tick is how often the connections are looked at: so that nothing is late by more
// than a quarter of what it may take.
func (o *Options) tick() time.Duration {
	least := o.Stall
	if o.Heartbeat > 0 {
		least = min(least, o.Heartbeat, o.HeartbeatTimeout)
	}
	return min(max(least/4, 5*time.Millisecond), time.Second)
}

// forgive counts from now on what the peer has not done.
func (c *conn) forgive(now time.Time) {
	c.listens.Store(now.UnixNano())
	for _, since := range []*atomic.Int64{&c.pinged, &c.out.waitingSince} {
		if was := since.Load(); was != 0 {
			since.CompareAndSwap(was, now.UnixNano())
		}
	}
}

// pressed is how long a peer may take no byte when the budget is used up.
const pressed = 5 * time.Second

// check ends the connection if its peer is stalled or silent, or asks it for a sign
// of life.
func (c *conn) check(now time.Time) {
	o := &c.endpoint.options
	if since := c.out.waitingSince.Load(); since != 0 {
		stall := o.Stall
		if c.endpoint.bridge.broker.Exhausted() && !c.deaf.Load() {
			stall = min(stall, pressed)
		}
		if waited := now.Sub(time.Unix(0, since)); waited > stall {
			detail := fmt.Sprintf("took no byte for %v", stall)
			c.log(slog.LevelInfo, "stalled", "connection ended", "cause", string(causeStalled), "detail", detail)
			c.cutFlow(causeStalled, flow.Overrun, detail)
		}
		return
	}
	if c.deaf.Load() {
		return
	}
	silent := c.silent(now)
	if ttl := time.Duration(c.ttl.Load()); ttl > 0 && silent > max(ttl, o.Heartbeat) {
		c.cutSilent(ttl)
		return
	}
	if o.Heartbeat <= 0 || !c.zmtp.Pings() {
		return
	}
	if pinged := c.pinged.Load(); pinged != 0 {
		// A PING that waits behind data says nothing: its receiver may be busy.
		patience := o.HeartbeatTimeout
		if c.sentData.Load() {
			patience = max(patience, o.Stall)
		}
		if waited := now.Sub(time.Unix(0, pinged)); waited > patience {
			c.cutSilent(patience)
		}
		return
	}
	if silent < o.Heartbeat {
		return
	}
	// Without a TTL, which would have the peer close the connection while it is the
	// only one that sends.
	c.pinged.Store(now.UnixNano())
	if !c.out.ping(zmtp.AppendPing(make([]byte, 0, 16), 0, nil)) {
		c.pinged.Store(0)
	}
}

func (c *conn) cutSilent(patience time.Duration) {
	detail := fmt.Sprintf("no sign of life for %v", patience)
	c.log(slog.LevelInfo, "silent", "connection ended", "cause", string(causeSilent), "detail", detail)
	c.cut(causeSilent, detail)
}
