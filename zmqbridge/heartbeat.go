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
		c.in.pong = true
	case "PONG":
		c.transit.Answered()
	case "ERROR":
		reason, _ := zmtp.ParseError(data)
		return &protocolFault{causeProtocol, fmt.Sprintf("the peer sent ERROR %q", reason)}
	}
	return nil // what is not known is passed over, and a sign of life like any other
}

// look looks after the connection, and returns in how long it is to be looked at again.
// A panic ends this one.
func (c *conn) look(now time.Time, paused bool) (again time.Duration) {
	again = c.site.options.tick()
	defer c.recover()
	if paused {
		c.forgive(now)
		return again
	}
	return min(again, c.check(now))
}

// pause is how far apart two looks have to be for the process to have stood still, and
// not just to have had others before it.
func (o *Options) pause() time.Duration {
	late := 250 * time.Millisecond
	if o.Heartbeat > 0 {
		late = min(late, o.HeartbeatTimeout/2)
	}
	return max(2*o.tick(), late)
}

// leastTick is the least time between two looks at the connections, whatever they ask
// for.
func (o *Options) leastTick() time.Duration { return o.tick() / 8 }

// tick is how often the connections are looked at if none asks for an earlier look:
// four times in what may take the least time.
func (o *Options) tick() time.Duration {
	least := o.Stall
	if o.Heartbeat > 0 {
		least = min(least, o.Heartbeat, o.HeartbeatTimeout)
	}
	return min(max(least/4, 5*time.Millisecond), time.Second)
}

// forgive counts from now on what the peer has not done.
func (c *conn) forgive(now time.Time) {
	c.resumedAt.Store(now.UnixNano())
	for _, since := range []*atomic.Int64{&c.pinged, &c.out.waitingSince} {
		if was := since.Load(); was != 0 {
			since.CompareAndSwap(was, now.UnixNano())
		}
	}
}

// check ends the connection if its peer is stalled or silent, or asks it for a sign
// of life. It returns in how long the peer has to be judged, unless it does something.
func (c *conn) check(now time.Time) (again time.Duration) {
	o := &c.site.options
	again = o.tick()
	if c.ending() {
		return again
	}
	before := c.unsent
	c.watch(now)
	if since := c.out.waitingSince.Load(); since != 0 {
		// What the system holds is still on its way to a peer on a slow line.
		if c.unsent != before {
			c.out.waitingSince.CompareAndSwap(since, now.UnixNano())
			return again
		}
		return min(again, c.checkStall(now.Sub(time.Unix(0, since))))
	}
	if c.readPaused.Load() {
		return again
	}
	silent := c.silent(now)
	if ttl := time.Duration(c.ttl.Load()); ttl > 0 && silent > max(ttl, o.Heartbeat) {
		c.cutSilent(ttl)
		return again
	}
	if o.Heartbeat <= 0 || !c.zmtp.Pings() {
		return again
	}
	if pinged := c.pinged.Load(); pinged != 0 {
		if left := c.unsent; 0 < left && left < before { // the PING itself, or what is in front of it
			c.pinged.CompareAndSwap(pinged, now.UnixNano())
			return again
		}
		return c.checkAnswer(now.Sub(time.Unix(0, pinged)))
	}
	// It is asked as much earlier as the answer may be looked for later, so that a
	// frozen peer is known within Heartbeat and HeartbeatTimeout.
	if silent < o.Heartbeat-o.tick()-o.leastTick() {
		return again
	}
	// Without a TTL, which would have the peer close the connection while it is the
	// only one that sends.
	c.pinged.Store(now.UnixNano())
	ahead := c.bytesOut.Load()
	if !c.out.ping(zmtp.AppendPing(make([]byte, 0, 16), 0, nil)) {
		c.pinged.Store(0)
		return again
	}
	c.transit.Asked(ahead)
	c.unsent = c.socket.unsent()
	return o.HeartbeatTimeout
}

// watch looks at what the system still has to send, where somebody waits for that.
func (c *conn) watch(now time.Time) {
	full := c.out.blocked.Load()
	if !full && c.pinged.Load() == 0 && c.out.waitingSince.Load() == 0 {
		c.transit.Watch(now, false, 0)
		return
	}
	c.unsent = c.socket.unsent()
	c.transit.Watch(now, full, c.bytesOut.Load()-uint64(c.unsent))
}

// checkStall judges a peer that has taken no byte for that long.
func (c *conn) checkStall(waited time.Duration) (again time.Duration) {
	stall := c.site.options.Stall
	if c.site.hub.broker.Exhausted() && !c.readPaused.Load() {
		stall = min(stall, c.site.options.PressedStall)
	}
	if waited < stall {
		return stall - waited
	}
	detail := fmt.Sprintf("took no byte for %v", stall)
	c.log(slog.LevelInfo, "stalled", "connection ended", "cause", string(causeStalled), "detail", detail)
	c.cutFlow(causeStalled, flow.Overrun, detail)
	return stall
}

// checkAnswer judges a peer that has left a PING unanswered for that long.
func (c *conn) checkAnswer(waited time.Duration) (again time.Duration) {
	patience := c.site.options.HeartbeatTimeout
	if c.sentData.Load() { // the PING waits behind data, whose receiver may be busy
		patience = max(patience, c.site.options.Stall)
	}
	patience += c.transit.Delay()
	if waited < patience {
		return patience - waited
	}
	c.cutSilent(patience)
	return patience
}

func (c *conn) cutSilent(patience time.Duration) {
	detail := fmt.Sprintf("no sign of life for %v", patience)
	c.log(slog.LevelInfo, "silent", "connection ended", "cause", string(causeSilent), "detail", detail)
	c.cut(causeSilent, detail)
}
