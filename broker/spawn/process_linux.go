package spawn

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
)

// pipeDelay is how long a command's output may stay open when its keeper is gone:
// something that the keeper could not kill may have it.
const pipeDelay = time.Second

// keeperTime is how long a keeper may take to kill what it keeps. It does nothing
// else, and is late only where the machine is overloaded; were it killed sooner, what
// has left its group would stay.
const keeperTime = 10 * time.Second

// process is one command that runs for a flow, with its keeper.
type process struct {
	spawner *Spawner
	say     sayer
	command *exec.Cmd // the keeper
	name    string
	maxTime time.Duration
	stdout  *lines
	stderr  *lines
	report  *os.File      // what the keeper says
	control *os.File      // has the keeper kill the command when it is closed
	exited  chan struct{} // closed when the keeper is reaped
	late    bool          // set before exited is closed: stopped after maxTime
	said    string        // likewise; what the keeper has said
}

// newProcess prepares a command. If it is not started, close it.
func newProcess(f *Factory, id transport.FlowID, task []byte, environment []string) (*process, error) {
	say := f.sayer(id)
	p := &process{
		spawner: f.spawner, say: say, name: f.command.Arguments[0], maxTime: f.command.MaxTime,
		stdout: newLines(say, "stdout"), stderr: newLines(say, "stderr"), exited: make(chan struct{}),
	}
	path := p.name
	if !strings.Contains(path, "/") {
		var err error
		if path, err = exec.LookPath(path); err != nil {
			return nil, err
		}
	}
	p.command = exec.Command("/proc/self/exe")
	p.command.Args = append([]string{keeperName, path}, f.command.Arguments...)
	p.command.Env = environment
	p.command.Stdin = bytes.NewReader(task)
	p.command.Stdout, p.command.Stderr = p.stdout, p.stderr
	p.command.WaitDelay = pipeDelay
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return p, nil
}

// start starts the keeper, which starts the command.
func (p *process) start() (err error) {
	var report, control *os.File // the keeper's ends
	if p.report, report, err = os.Pipe(); err != nil {
		return err
	}
	if control, p.control, err = os.Pipe(); err != nil {
		return errors.Join(err, p.report.Close(), report.Close())
	}
	p.command.ExtraFiles = []*os.File{reportFD - 3: report, controlFD - 3: control}
	err = p.command.Start()
	_, _ = report.Close(), control.Close() // opened for the keeper, which has its own now
	if err != nil {
		_, _ = p.report.Close(), p.control.Close()
	}
	return err
}

// maxReport bounds what a keeper says, in bytes.
const maxReport = 1 << 10

// supervise sees to it that the command ends with its flow, and with it all that it has
// started. It returns when the keeper is reaped.
func (p *process) supervise(over <-chan flow.Reason) {
	keeper := p.command.Process.Pid
	gone := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		awaitExit(keeper)
		close(gone)
	})
	p.end(-keeper, gone, over)
	watch.Wait()
	// Not reaped yet, so the group's number is nobody else's. Nobody is left in it,
	// unless somebody has killed the keeper.
	kill(-keeper, unix.SIGKILL)
	_ = p.report.SetReadDeadline(time.Now().Add(pipeDelay)) // nobody else has the other end
	text, _ := io.ReadAll(io.LimitReader(p.report, maxReport))
	p.said = strings.TrimSpace(string(text))
	err := p.command.Wait()
	_, _ = p.report.Close(), p.control.Close()
	p.stdout.end()
	p.stderr.end()
	close(p.exited)
	p.say(slog.LevelDebug, "command_ended", "command ended", "command", p.name, "state", p.state(), "error", err)
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
	kill(group, unix.SIGTERM)
	if within(p.spawner.options.Grace, gone) {
		return
	}
	p.say(slog.LevelWarn, "command_killed", "command killed: it does not heed SIGTERM", "command", p.name)
	_ = p.control.Close() // has the keeper kill it
	if !within(keeperTime, gone) {
		kill(group, unix.SIGKILL)
	}
}

// within tells whether the keeper has gone by then.
func within(d time.Duration, gone <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-gone:
		return true
	case <-timer.C:
		return false
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

// kill signals a group, in which nobody may be left.
func kill(group int, s unix.Signal) { _ = unix.Kill(group, s) }

// awaitExit waits until a child has exited, and leaves it to be reaped.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// status is how the command ended, as the keeper says; false if it has not said it.
func (p *process) status() (syscall.WaitStatus, bool) {
	var ended uint32
	_, err := fmt.Sscanf(p.said, "ended %d", &ended)
	return syscall.WaitStatus(ended), err == nil
}

// state is the same in words.
func (p *process) state() string {
	status, known := p.status()
	switch {
	case !known:
		return cmp.Or(p.said, p.command.ProcessState.String())
	case status.Signaled():
		return "signal: " + status.Signal().String()
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}

// exitReason says how a command ended that did not accept. Its keeper has been reaped.
func (p *process) exitReason() string {
	status, known := p.status()
	if !known { // the keeper was killed, and the command with it
		status, _ = p.command.ProcessState.Sys().(syscall.WaitStatus)
	}
	words := fmt.Sprintf("command %s ", p.name)
	failed, is := strings.CutPrefix(p.said, "failed ")
	switch {
	case is:
		return fmt.Sprintf("command %s: can't be started: %s", p.name, failed)
	case p.late:
		words += fmt.Sprintf("did not accept within its max_time, %v", p.maxTime)
	case status.Signaled():
		words += fmt.Sprintf("was killed by %s before it accepted", unix.SignalName(status.Signal()))
	default:
		words += fmt.Sprintf("exited with status %d before it accepted", status.ExitStatus())
	}
	if last := p.stderr.lastLine(); last != "" {
		words += ": " + last
	}
	return words
}
