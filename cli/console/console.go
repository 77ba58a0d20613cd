// Package console is where a command is used: by somebody at a terminal, who is asked and
// sees colours, or by a script, which is not and does not. NO_COLOR is honoured.
package console

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
	"golang.org/x/term"

	"github.com/zioflow/gateway/cli/exit"
)

// Console is a command's standard input and output. Its methods are called by one goroutine
// at a time.
type Console struct {
	in       io.Reader
	out, err io.Writer
	plain    *colorprofile.Writer // out, spared what it cannot show
	context  context.Context
}

// Standard is the process's own.
func Standard() *Console {
	return New(context.Background(), os.Stdin, os.Stdout, os.Stderr, os.Environ())
}

// New makes a console of streams, which are a terminal if they are files that are one.
// Commands end with the context.
func New(ctx context.Context, in io.Reader, out, err io.Writer, environment []string) *Console {
	return &Console{in: in, out: out, err: err, plain: colorprofile.NewWriter(out, environment), context: ctx}
}

// Write writes to standard output; colours go where somebody sees them.
func (c *Console) Write(text []byte) (int, error) { return c.plain.Write(text) }

// Print is Write for lines.
func (c *Console) Print(text string) error {
	_, err := io.WriteString(c, text)
	return err
}

// Printf is Print with a format.
func (c *Console) Printf(format string, arguments ...any) error {
	return c.Print(fmt.Sprintf(format, arguments...))
}

// Note tells somebody at a terminal, on standard error, what a script has no use for.
func (c *Console) Note(format string, arguments ...any) {
	if terminal(c.err) {
		_, _ = fmt.Fprintf(c.err, format, arguments...)
	}
}

// Warn tells on standard error what whoever reads the rest should know, a script included.
func (c *Console) Warn(text string) { _, _ = io.WriteString(c.err, text) }

// Input and Output are the streams as they are, for what draws on a terminal.
func (c *Console) Input() io.Reader { return c.in }

// Output is standard output; see Input.
func (c *Console) Output() io.Writer { return c.out }

// Terminal tells whether somebody looks at standard output.
func (c *Console) Terminal() bool { return terminal(c.out) }

// Width is how many columns a line may have; 0 where there is no bound.
func (c *Console) Width() int {
	width, _ := c.size()
	return width
}

func (c *Console) size() (width, height int) {
	file, is := c.out.(*os.File)
	if !is {
		return 0, 0
	}
	width, height, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0, 0
	}
	return width, height
}

func terminal(stream any) bool {
	file, is := stream.(*os.File)
	return is && term.IsTerminal(int(file.Fd()))
}

// Confirm asks before something is done that cannot be taken back, and returns nil for yes.
// Where nobody is there to ask, that is wrong use.
func (c *Console) Confirm(ctx context.Context, question string) error {
	if !terminal(c.in) {
		return exit.Errorf(exit.Usage, "this asks first, and standard input is no terminal: give --yes")
	}
	if _, err := fmt.Fprintf(c.err, "%s [y/N] ", question); err != nil {
		return err
	}
	reply := make(chan string, 1)
	go func() { // ends with the line, or with the process
		line, _ := bufio.NewReader(c.in).ReadString('\n')
		reply <- line
	}()
	select {
	case line := <-reply:
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return nil
		}
		return exit.Errorf(exit.Declined, "nothing was done")
	case <-ctx.Done():
		_, _ = fmt.Fprintln(c.err)
		return Interruption(ctx)
	}
}

// Context ends with SIGINT or SIGTERM. Release it by calling stop.
func (c *Console) Context() (ctx context.Context, stop func()) {
	return OnSignal(c.context, func(s syscall.Signal) error { return &interruption{s} }, func() {})
}

// OnSignal is a context that the first SIGINT or SIGTERM ends, with the cause that is made of
// it; told is called after that. The second signal has its own effect: it ends the process.
// Release the context by calling stop.
func OnSignal(parent context.Context, cause func(syscall.Signal) error, told func()) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case s := <-signals:
			signal.Stop(signals) // before anybody is told of this one
			number, _ := s.(syscall.Signal)
			cancel(cause(number))
			told()
		case <-ctx.Done():
			signal.Stop(signals)
		}
	}()
	return ctx, func() { cancel(context.Canceled); <-done }
}

// interruption is the cause of a context that a signal has ended.
type interruption struct{ signal syscall.Signal }

func (i *interruption) Error() string {
	if i.signal == syscall.SIGTERM {
		return "terminated"
	}
	return "interrupted"
}

// Interruption is the error with which a command ends that a signal has stopped before it
// was done; nil while the context lasts.
func Interruption(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	cause := context.Cause(ctx)
	if i, is := errors.AsType[*interruption](cause); is {
		if i.signal == syscall.SIGTERM {
			return exit.With(exit.Terminated, i)
		}
		return exit.With(exit.Interrupted, i)
	}
	return cause
}

// Screen draws whole pictures, one over the other, on a terminal; on anything else it
// writes them one after the other.
type Screen struct {
	console *Console
	drawn   bool
}

// Screen takes the terminal until it is closed.
func (c *Console) Screen() *Screen { return &Screen{console: c} }

// Draw shows a picture instead of the last one; what has no room is not shown.
func (s *Screen) Draw(picture string) error {
	if !s.console.Terminal() {
		return s.console.Print(picture)
	}
	var out strings.Builder
	if !s.drawn {
		s.drawn = true
		out.WriteString(ansi.SetModeAltScreenSaveCursor + ansi.HideCursor)
	}
	out.WriteString(ansi.CursorHomePosition)
	_, height := s.console.size()
	lines := strings.Split(strings.TrimSuffix(picture, "\n"), "\n")
	if height > 0 && len(lines) > height {
		lines = lines[:height]
	}
	out.WriteString(strings.Join(lines, ansi.EraseLineRight+"\r\n"))
	out.WriteString(ansi.EraseLineRight + ansi.EraseScreenBelow)
	return s.console.Print(out.String())
}

// Close gives the terminal back as it was.
func (s *Screen) Close() {
	if s.drawn {
		_ = s.console.Print(ansi.ShowCursor + ansi.ResetModeAltScreenSaveCursor)
	}
}
