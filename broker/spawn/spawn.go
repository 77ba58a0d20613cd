// Package spawn starts a command for every flow: ZIO's "spawn a handler". The
// command is told of the flow on standard input and in its environment, and
// accepts it by a BOT with the cid, over whatever transport it likes.
package spawn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/internal/slots"
)

// Options configure a Spawner.
type Options struct {
	// MaxProcesses is how many commands may run at once, of all routes together.
	// At least 1.
	MaxProcesses int
	// Grace is how long a command has from SIGTERM to SIGKILL, and from the end of
	// a flow that completed to SIGTERM. More than 0.
	Grace time.Duration
	// Log takes the commands' output, and what becomes of them.
	Log *slog.Logger
}

// DefaultOptions are the limits where nobody sets others. The grace leaves a
// gateway that stops the time for the rest.
func DefaultOptions() Options { return Options{MaxProcesses: 64, Grace: 2 * time.Second} }

// Command is what a route starts for each of its flows.
type Command struct {
	// Arguments are the program and its arguments. A program without a slash is
	// looked for in PATH.
	Arguments []string
	// MaxProcesses is how many may run at once for the route; 0 for as many as the
	// Spawner allows.
	MaxProcesses int
	// MaxTime is how long one may run; 0 for any time.
	MaxTime time.Duration
}

// Validate names the first field that makes no sense, by a *routing.FieldError.
func (c Command) Validate() error {
	switch {
	case len(c.Arguments) == 0 || c.Arguments[0] == "":
		return routing.WrongField("command", "names no program")
	case slices.ContainsFunc(c.Arguments, func(a string) bool { return strings.ContainsRune(a, 0) }):
		return routing.WrongField("command", "has a zero byte")
	case c.MaxProcesses < 0:
		return routing.WrongField("max_processes", "is %d, want 0 or more", c.MaxProcesses)
	case c.MaxTime < 0:
		return routing.WrongField("max_time", "is %v, want 0 or more", c.MaxTime)
	}
	return nil
}

// Addresses is where a command reaches the gateway; empty for no such front.
type Addresses struct{ ZMQServer, ZMQRouter, GRPC string }

// Spawner starts commands and sees to it that none outlives its flow. Its
// methods may be called concurrently.
type Spawner struct {
	options   Options
	lines     *logs.Sampler
	slots     *slots.Slots // of commands that run, by route
	processes sync.WaitGroup

	closing   chan struct{} // closed by Close
	once      sync.Once     // for closing it
	located   chan struct{} // closed when addresses is set
	locating  sync.Once
	addresses Addresses // set before located is closed
}

// New makes a Spawner. It starts nothing before SetAddresses.
func New(o Options) (*Spawner, error) {
	if o.MaxProcesses < 1 {
		return nil, fmt.Errorf("max-processes is %d, want more than 0", o.MaxProcesses)
	}
	if o.Grace <= 0 {
		return nil, fmt.Errorf("grace is %v, want more than 0", o.Grace)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Spawner{options: o, lines: logs.NewSampler(o.Log, routeLines), closing: make(chan struct{}), located: make(chan struct{})}
	s.slots = slots.New(o.MaxProcesses)
	return s, nil
}

// SetAddresses tells where the gateway is, once it is known. Flows wait for it.
// Only the first call counts.
func (s *Spawner) SetAddresses(a Addresses) {
	s.locating.Do(func() {
		s.addresses = a
		close(s.located)
	})
}

// SetMaxProcesses changes the limit for all routes together, for commands started
// from now on. At least 1.
func (s *Spawner) SetMaxProcesses(n int) error {
	if n < 1 {
		return fmt.Errorf("max-processes is %d, want more than 0", n)
	}
	s.slots.SetLimit(n)
	return nil
}

// Close returns when no command runs any more and all are accounted for, or with
// the context's error. The broker must have been closed, which ends every flow
// and so every command. Closing again only waits again.
func (s *Spawner) Close(ctx context.Context) error {
	s.once.Do(func() { close(s.closing) })
	done := make(chan struct{})
	go func() { // ends when the last command does, which SIGKILL sees to
		s.processes.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("commands of routes still run: %w", ctx.Err())
	}
}

// Factory makes the factory of a route. MaxProcesses counts by the route's name,
// so that it holds for a route that is replaced by one of the same name, too.
func (s *Spawner) Factory(route string, c Command) (*Factory, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Factory{spawner: s, route: route, command: c}, nil
}

// Factory is a routing.Factory that starts a command for every flow.
type Factory struct {
	spawner *Spawner
	route   string
	command Command
}

// Command is what the factory starts.
func (f *Factory) Command() Command { return f.command }

// Explain implements matching.Explainer.
func (f *Factory) Explain(*matching.View) string {
	running, limit := f.spawner.slots.Taken(f.route, f.command.MaxProcesses)
	if running < limit {
		return ""
	}
	return fmt.Sprintf("%d of at most %d commands run: a flow waits for a place until the pending deadline, "+
		"then ends with overloaded", running, limit)
}

// Find implements routing.Factory: it starts the command and waits until that has
// accepted, or has ended without.
func (f *Factory) Find(ctx context.Context, r *routing.Request) error {
	select {
	case <-f.spawner.located:
	case <-ctx.Done():
		return nil
	}
	full := func() { r.IfLate(flow.Overloaded, fmt.Sprintf("route %s runs as many commands as it may", f.route)) }
	if !f.spawner.slots.Acquire(ctx, f.route, f.command.MaxProcesses, full) {
		return nil
	}
	process, err := f.start(r)
	if err != nil {
		f.spawner.slots.Release(f.route)
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case <-process.exited:
	}
	if ctx.Err() != nil {
		return nil
	}
	return errors.New(process.exitReason())
}

// start starts the command for a request and has it looked after.
func (f *Factory) start(r *routing.Request) (*process, error) {
	name := f.command.Arguments[0]
	r.IfLate(flow.HandlerTimeout, fmt.Sprintf("command %s did not accept in time", name))
	offer, err := r.Offer()
	if err != nil {
		return nil, err
	}
	task, err := describe(r, offer)
	if err != nil {
		return nil, err
	}
	p, err := newProcess(f, r.Flow(), task, f.environment(r, offer))
	if err == nil {
		err = p.start()
	}
	if err != nil {
		return nil, fmt.Errorf("command %s: %w", name, unwrapStart(err))
	}
	p.say(slog.LevelDebug, "command_started", "command started", "command", name, "pid", p.command.Process.Pid)
	over := make(chan flow.Reason, 1)
	r.OnEnd(func(reason flow.Reason) { over <- reason })
	f.spawner.processes.Go(func() {
		defer f.spawner.slots.Release(f.route)
		p.supervise(over)
	})
	return p, nil
}

// unwrapStart leaves out the name, which is told anyway.
func unwrapStart(err error) error {
	if cause, ok := errors.AsType[*os.PathError](err); ok {
		return fmt.Errorf("can't be started: %w", cause.Err)
	}
	return fmt.Errorf("can't be started: %w", err)
}
