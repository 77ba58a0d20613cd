package zmqbridge

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"time"
)

// start serves the addresses, all of which are bound.
func (e *endpoint) start() {
	for _, l := range e.listeners {
		e.accepts.Go(func() { e.accept(l) })
	}
	e.running.Go(e.supervise)
}

// acceptPause is how long nothing is accepted after an error that may last, such as
// too many open files.
const acceptPause = 50 * time.Millisecond

func (e *endpoint) accept(l *listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			e.stats.outcomes.add(outcomeAcceptFailed)
			e.line(slog.LevelWarn, "accept", "connection not accepted", "address", l.bound, "error", err)
			select {
			case <-time.After(acceptPause):
				continue
			case <-e.stopped:
				return
			}
		}
		e.admit(c, l)
	}
}

// admit begins to serve a connection. A panic costs this one.
func (e *endpoint) admit(socket net.Conn, l *listener) {
	defer func() {
		if problem := recover(); problem != nil {
			e.hub.panics.Add(1)
			e.line(slog.LevelError, "panic", "panic on a connection that begins",
				"panic", fmt.Sprint(problem), "stack", string(debug.Stack()))
			_ = socket.Close()
		}
	}()
	c, err := newConn(&e.site, e, socket, e.options.CurveKey == "" || e.options.PlainLocal && l.local)
	if err != nil {
		_ = socket.Close()
		e.line(slog.LevelError, "accept", "connection not served", "error", err)
		return
	}
	if !e.enter(c) {
		e.stats.outcomes.add(outcomeBusy)
		c.log(slog.LevelWarn, "busy", "connection refused", "cause", string(outcomeBusy),
			"detail", "too many connections are in their handshake")
		_ = socket.Close()
		return
	}
	e.running.Go(c.run)
}

// supervise looks after the connections until the endpoint stops: asks those that
// are silent whether they are there, and ends those that do not answer, or take
// nothing.
func (e *endpoint) supervise() {
	tick := e.options.tick()
	timer := time.NewTimer(tick)
	defer timer.Stop()
	last := time.Now()
	for {
		select {
		case <-timer.C:
		case <-e.stopped:
			return
		}
		// The process was stopped, or the machine: what has arrived meanwhile is looked
		// at before anybody is judged.
		now := time.Now()
		paused := now.Sub(last) > e.options.pause()
		last = now
		again := tick
		for _, c := range e.all() {
			again = min(again, c.look(now, paused))
		}
		timer.Reset(max(again, e.options.leastTick()))
	}
}
