package server

import (
	"time"

	"google.golang.org/grpc/status"
)

// halfClosed is called when the stream has closed its sending half and all that it
// had sent before was taken in. It implies an EOT (ADR 3), which is said when it can
// be believed: not by one who breaks off, nor for one who has not been handed all that
// it has asked for. It returns when the EOT was said, or there is none to say.
func (x *flowStream) halfClosed() {
	if !x.pause(x.grace) {
		return
	}
	select {
	case <-x.answered:
	case <-x.ctx.Done():
		return
	}
	x.mu.Lock()
	taking, paid := x.taking, x.paid
	x.mu.Unlock()
	if taking && !x.until(func() bool { return x.served(paid) }) {
		return
	}
	x.closeSend()
}

// pause waits; false if the stream ends before. A client that is cancelled, or whose
// proxy has lost it, closes its sending half a moment before its stream is reset.
func (x *flowStream) pause(grace time.Duration) bool {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-x.ctx.Done():
		return false
	}
}

// served tells whether a taker that has paid so much, and pays no more, has been sent
// all that it will be: its giver has said EOT, or its credit is used up, and nothing
// waits.
func (x *flowStream) served(paid int64) bool {
	return (x.eotCame.Load() || x.dats.Load() >= paid) && !x.waits()
}

// hangUp takes a stream that has ended out of its flow.
func (x *flowStream) hangUp() { x.leave(cause(status.FromContextError(x.ctx.Err()).Err())) }

// answerEOT answers the giver's EOT for a taker that cannot do it itself, as soon as
// nothing but that EOT waits for it, and so the flow completes. If the flow ends before
// there is nothing to answer.
func (x *flowStream) answerEOT() error {
	const itself = 1
	switch {
	case x.until(func() bool { return x.Waiting() <= itself }):
		return x.eot()
	case x.ctx.Err() != nil:
		return status.FromContextError(x.ctx.Err()).Err()
	default:
		return nil
	}
}
