package zioflow

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Serve is Handle that announces the listener again when it has come to an end without
// the ctx: because the gateway was restarted, or the network failed. It waits a little
// longer after each failure, from 50 ms to 500 ms, not for the same time in every process.
// Flows that a Handler has accepted are its own matter, and no listener waits for them: those
// of a gateway that is gone end with an error, those of one that drains, or of a connection
// that has become too old, go on.
//
// It returns when every Handler has returned, with ctx's cause; ErrClosed; or the error after
// which another attempt would end in the same way: a listener that is not valid, or not
// allowed.
func (g *Gateway) Serve(ctx context.Context, l Listener, handle Handler) error {
	ctx, cancel := g.scope(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	defer running.Wait()
	wait := &backoff.ExponentialBackOff{
		InitialInterval: firstRetry, MaxInterval: lastRetry, Multiplier: 2, RandomizationFactor: 0.25,
	}
	listening := l.OnListening
	l.OnListening = func(id uint64) {
		wait.Reset()
		if listening != nil {
			listening(id)
		}
	}
	for {
		err := g.listen(ctx, l, handle, &running)
		if ctx.Err() != nil || final(err) {
			return err
		}
		pause := wait.NextBackOff()
		if l.OnLost != nil {
			l.OnLost(err, pause)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

const firstRetry, lastRetry = 50 * time.Millisecond, 500 * time.Millisecond

// final tells whether a listener that ended with err would do so again.
func final(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.Unauthenticated, codes.PermissionDenied, codes.Unimplemented, codes.AlreadyExists:
		return true
	}
	return errors.Is(err, ErrClosed)
}
