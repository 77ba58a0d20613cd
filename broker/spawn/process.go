package spawn

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
)

// pipeDelay is how long a command's output may stay open when the command is
// gone: something that left its group may have it.
const pipeDelay = time.Second

// process is one command that runs for a flow.
type process struct {
	spawner *Spawner
	say     sayer
	command *exec.Cmd
	name    string
	maxTime time.Duration
	stdout  *lines
	stderr  *lines
	exited  chan struct{} // closed when the command is reaped
	late    bool          // set before exited is closed: stopped after maxTime
}

func newProcess(f *Factory, id broker.FlowID, task []byte, environment []string) *process {
	say := f.sayer(id)
	p := &process{
		spawner: f.spawner, say: say, name: f.command.Arguments[0], maxTime: f.command.MaxTime,
		stdout: newLines(say, "stdout"), stderr: newLines(say, "stderr"), exited: make(chan struct{}),
	}
	p.command = exec.Command(p.name, f.command.Arguments[1:]...)
	p.command.Env = environment
	p.command.Stdin = bytes.NewReader(task)
	p.command.Stdout, p.command.Stderr = p.stdout, p.stderr
	p.command.WaitDelay = pipeDelay
	p.command.SysProcAttr = &syscall.SysProcAttr{
		Setpgid: true,
		// If the gateway is killed, so is the command.
		Pdeathsig: syscall.SIGKILL,
	}
	return p
}

// attend sees to it that the command ends with its flow, and with it all that is
// left in its group. It returns when the command is reaped.
func (p *process) attend(over <-chan flow.Reason) {
	group := -p.command.Process.Pid
	gone := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		awaitExit(p.command.Process.Pid)
		close(gone)
	})
	p.end(group, gone, over)
	watch.Wait()
	// Not reaped yet, so the group's number is nobody else's.
	signal(group, unix.SIGKILL)
	err := p.command.Wait()
	p.stdout.end()
	p.stderr.end()
	close(p.exited)
	p.say(slog.LevelDebug, "command_ended", "command ended", "command", p.name, "state", p.command.ProcessState.String(), "error", err)
}

// end returns when the command has exited, of itself or because it had to.
func (p *process) end(group int, gone <-chan struct{}, over <-chan flow.Reason) {
	var limit <-chan time.Time
	if p.maxTime > 0 {
		timer := time.NewTimer(p.maxTime)
		defer timer.Stop()
		limit = timer.C
	}
	select {
	case <-gone:
		return
	case <-limit:
		p.late = true
		p.say(slog.LevelWarn, "command_stopped", "command stopped: it has run as long as it may", "command", p.name, "max_time", p.maxTime)
	case reason := <-over:
		if reason == flow.Completed && p.leaves(gone) {
			return
		}
	}
	signal(group, unix.SIGTERM)
	timer := time.NewTimer(p.spawner.options.Grace)
	defer timer.Stop()
	select {
	case <-gone:
	case <-timer.C:
		p.say(slog.LevelWarn, "command_killed", "command killed: it does not heed SIGTERM", "command", p.name)
		signal(group, unix.SIGKILL)
	}
}

// leaves gives a command whose work is done the time to exit of itself.
func (p *process) leaves(gone <-chan struct{}) bool {
	timer := time.NewTimer(p.spawner.options.Grace)
	defer timer.Stop()
	select {
	case <-gone:
		return true
	case <-timer.C:
	case <-p.spawner.closing:
	}
	return false
}

// signal signals a group, in which nobody may be left.
func signal(group int, s unix.Signal) { _ = unix.Kill(group, s) }

// awaitExit waits until a child has exited, and leaves it to be reaped.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// verdict says how a command ended that did not accept. It has been reaped.
func (p *process) verdict() string {
	words := fmt.Sprintf("command %s ", p.name)
	status, ok := p.command.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case p.late:
		words += fmt.Sprintf("did not accept within its max_time, %v", p.maxTime)
	case ok && status.Signaled():
		words += fmt.Sprintf("was killed by %s before it accepted", unix.SignalName(status.Signal()))
	default:
		words += fmt.Sprintf("exited with status %d before it accepted", p.command.ProcessState.ExitCode())
	}
	if last := p.stderr.lastLine(); last != "" {
		words += ": " + last
	}
	return words
}

// starter starts commands on a thread of its own: the kernel takes the end of
// the thread that started a command for the end of the gateway (Pdeathsig).
type starter struct {
	once    sync.Once
	stopped sync.Once
	work    chan func()
	thread  sync.WaitGroup
}

func (s *starter) start(c *exec.Cmd) error {
	s.once.Do(func() {
		s.work = make(chan func())
		s.thread.Go(func() {
			runtime.LockOSThread() // for good: the thread ends with this function
			for start := range s.work {
				start()
			}
		})
	})
	result := make(chan error, 1)
	s.work <- func() { result <- c.Start() }
	return <-result
}

// stop ends the thread. Nothing may be started after, and nothing run any more.
func (s *starter) stop() {
	s.once.Do(func() {})
	s.stopped.Do(func() {
		if s.work != nil {
			close(s.work)
		}
	})
	s.thread.Wait()
}
