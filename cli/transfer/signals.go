package transfer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Interrupted is the error of a command that was told to stop by a signal, and has done so
// in good order. The program's exit code is its ExitCode.
type Interrupted struct{ Signal syscall.Signal }

func (e *Interrupted) Error() string { return fmt.Sprintf("stopped by %v", e.Signal) }

// ExitCode is what a shell makes of the signal: 130 for SIGINT.
func (e *Interrupted) ExitCode() int { return 128 + int(e.Signal) }

// interruptible is a context that the first SIGINT or SIGTERM ends, with an [Interrupted] as
// its cause. The second signal has its own effect: it ends the process. Call stop when the
// command is over.
func interruptible() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	over := make(chan struct{})
	go func() {
		defer close(over)
		select {
		case s := <-signals:
			signal.Stop(signals) // before anybody is told of this one
			number, _ := s.(syscall.Signal)
			cancel(&Interrupted{number})
			note("stopping in good order; a second Ctrl-C stops at once")
		case <-done:
		}
	}()
	return ctx, func() {
		close(done)
		<-over
		signal.Stop(signals)
		cancel(nil)
	}
}

// isInterrupt tells whether a command was told to stop.
func isInterrupt(err error) bool {
	_, told := errors.AsType[*Interrupted](err)
	return told
}
