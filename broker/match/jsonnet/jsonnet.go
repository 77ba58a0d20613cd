// Package jsonnet evaluates Jsonnet in a process of its own. Jsonnet is a
// programming language whose interpreter cannot be interrupted: a text may take any
// amount of time and memory. The process can be ended.
//
// The process is the program itself, started again under another name, by which an
// init function here knows what it is to do. So a program that imports this package
// need do nothing for it, and a test need not either.
package jsonnet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// Bounds of an evaluation.
const (
	// MaxTime is how much of a processor's time one may take, where the system can
	// bound that, and MaxWait how long it may take at the most: on a machine that is
	// busy with something else the two differ.
	MaxTime = 3 * time.Second
	MaxWait = 15 * time.Second
	// MaxMemory is how much memory it may use, in bytes.
	MaxMemory = 256 << 20
	// MaxResult is how long the JSON that it yields may be, in bytes; MaxText the
	// same for its text and for each file that it imports.
	MaxResult = 1 << 20
	MaxText   = 1 << 20

	// processors is how many it may use at once: one, and one for its garbage.
	processors = 2
	// startTime is what of a processor's time its start may take.
	startTime = time.Second
	// maxStack bounds how deep a text's calls may go.
	maxStack = 200
	// maxError bounds what is told of an error, in bytes.
	maxError = 2 << 10
)

// Source is a text to be evaluated.
type Source struct {
	// Name is what the text is called in errors.
	Name string
	Text string
	// Folder is where the text, as Name, and the files that it imports are: these
	// may lie in there or below. Empty for a text that may not import anything.
	Folder string
}

// ErrCannotStart is wrapped by an error of Evaluate that is not the text's fault.
var ErrCannotStart = errors.New("the process that evaluates Jsonnet can't be started")

// turn is held by the evaluation that goes on: one at a time, so that its memory is
// all that there is.
var turn = make(chan struct{}, 1)

// Evaluate returns the JSON that a text yields. It ends when the context does. An
// error says in one line what is wrong with the text, or which bound it reached.
func Evaluate(ctx context.Context, source Source) ([]byte, error) {
	if n := len(source.Text); n > MaxText {
		return nil, fmt.Errorf("has %d bytes, %d are allowed", n, MaxText)
	}
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	limited, cancel := context.WithTimeoutCause(ctx, MaxWait, errTime)
	defer cancel()
	return run(limited, source)
}

// The errors of the bounds.
var (
	errTime   = fmt.Errorf("takes more than %v to evaluate", MaxTime)
	errMemory = fmt.Errorf("takes more than %d MiB of memory to evaluate", MaxMemory>>20)
	errResult = fmt.Errorf("yields more than %d bytes", MaxResult)
)

// errorOf finds the error by its words, which is how it comes from the process.
func errorOf(words string) error {
	for _, known := range []error{errTime, errMemory, errResult} {
		if known.Error() == words {
			return known
		}
	}
	return errors.New(words)
}

// run starts the process and hears its answer.
func run(ctx context.Context, source Source) ([]byte, error) {
	task, err := json.Marshal(source)
	if err != nil {
		return nil, err
	}
	program, err := self()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCannotStart, err)
	}
	var out, trouble bounded
	out.limit, trouble.limit = 2*MaxResult+maxError, maxError // a result may be twice as long when it is quoted
	command := exec.CommandContext(ctx, program)
	command.Args = []string{processName}
	command.Env = []string{fmt.Sprintf("GOMAXPROCS=%d", processors), "GOTRACEBACK=none"} // nothing of the gateway's own
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(task), &out, &trouble
	command.WaitDelay = time.Second
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCannotStart, err)
	}
	ended := command.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var result result
	if err := json.Unmarshal(out.Bytes(), &result); ended != nil || err != nil {
		return nil, broken(ended, trouble.String())
	}
	if result.Error != "" {
		return nil, errorOf(result.Error)
	}
	return []byte(result.JSON), nil
}

// self is the program that runs here: where it can be had, the very file that was
// started, which another may have replaced meanwhile.
func self() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}

// memoryWords are among the runtime's last when it can have no more memory; the third of
// its race detector.
var memoryWords = regexp.MustCompile("memory|allocate|address space")

// broken says why the process has not answered.
func broken(ended error, trouble string) error {
	first, _, _ := strings.Cut(trouble, "\n")
	var exit *exec.ExitError
	switch killed := errors.As(ended, &exit) && exit.ExitCode() < 0; {
	case memoryWords.MatchString(first):
		return errMemory
	case killed && exit.UserTime()+exit.SystemTime() > MaxTime:
		return errTime
	case killed: // by the system, which wants its memory
		return errMemory
	}
	if ended == nil {
		ended = errors.New("the process answered nothing")
	}
	return fmt.Errorf("can't be evaluated: %w: %s", ended, first)
}

// bounded keeps the first limit bytes that are written to it.
type bounded struct {
	bytes.Buffer
	limit int
}

// Write implements io.Writer. It takes everything.
func (b *bounded) Write(text []byte) (int, error) {
	b.Buffer.Write(text[:min(len(text), max(0, b.limit-b.Len()))])
	return len(text), nil
}
