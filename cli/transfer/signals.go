package transfer

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/zioflow/gateway/cli/console"
)

// Interrupted is the error of a command that was told to stop by a signal, and has done so
// in good order. The program's exit code is its ExitCode.
type Interrupted struct{ Signal syscall.Signal }

func (e *Interrupted) Error() string { return fmt.Sprintf("stopped by %v", e.Signal) }

// ExitCode is what a shell makes of the signal: 130 for SIGINT.
func (e *Interrupted) ExitCode() int { return 128 + int(e.Signal) }

// interruptible is a context that the first SIGINT or SIGTERM ends, with an [Interrupted] as
// its cause; see [console.OnSignal]. Call stop when the command is over.
func interruptible() (ctx context.Context, stop func()) {
	return console.OnSignal(context.Background(), func(s syscall.Signal) error { return &Interrupted{s} },
		func() { note("stopping in good order; a second Ctrl-C stops at once") })
}

// isInterrupt tells whether a command was told to stop.
func isInterrupt(err error) bool {
	_, told := errors.AsType[*Interrupted](err)
	return told
}
