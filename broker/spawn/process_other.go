//go:build !linux

package spawn

import (
	"bytes"
	"fmt"
	"log/slog"
	"os/exec"
	"sync"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
)

// pipeDelay is how long a command's output may stay open when the command is
// gone: something that left its group may have it.
const pipeDelay = time.Second

// process is one command that runs for a flow.
type process struct {
	spawner *Spawner
	say     sayer
	command *exec.Cmd
	group   group // the command with what it starts
	name    string
	maxTime time.Duration
	stdout  *lines
	stderr  *lines
	exited  chan struct{} // closed when the command is reaped
	late    bool          // set before exited is closed: stopped after maxTime
}

func newProcess(f *Factory, id transport.FlowID, task []byte, environment []string) (*process, error) {
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
	return p, nil
}

// start starts the command. Nothing is left of it where that fails.
func (p *process) start() error {
	if err := p.group.prepare(p.command); err != nil {
		return err
	}
	if err := p.command.Start(); err != nil {
		p.group.close()
		return err
	}
	if err := p.group.watch(p.command.Process.Pid); err != nil {
		_ = p.command.Process.Kill()
		_ = p.command.Wait()
		p.group.close()
		return err
	}
	return nil
}

// supervise sees to it that the command ends with its flow, and with it all that is
// left in its group. It returns when the command is reaped.
func (p *process) supervise(over <-chan flow.Reason) {
	gone := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		p.group.await()
		close(gone)
	})
	p.end(gone, over)
	watch.Wait()
	// Not reaped yet, so the group's number is nobody else's.
	p.group.kill()
	err := p.command.Wait()
	p.group.close()
	p.stdout.end()
	p.stderr.end()
	close(p.exited)
	p.say(slog.LevelDebug, "command_ended", "command ended", "command", p.name, "state", p.command.ProcessState.String(), "error", err)
}

// end returns when the command has exited, of itself or because it had to.
func (p *process) end(gone <-chan struct{}, over <-chan flow.Reason) {
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
		p.say(slog.LevelWarn, "command_ended", "command stopped: it has run as long as it may", "command", p.name, "max_time", p.maxTime)
	case reason := <-over:
		if reason == flow.Completed && p.leaves(gone) {
			return
		}
	}
	p.group.terminate()
	timer := time.NewTimer(p.spawner.options.Grace)
	defer timer.Stop()
	select {
	case <-gone:
	case <-timer.C:
		p.say(slog.LevelWarn, "command_killed", "command killed: it does not heed SIGTERM", "command", p.name)
		p.group.kill()
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

// exitReason says how a command ended that did not accept. It has been reaped.
func (p *process) exitReason() string {
	words := fmt.Sprintf("command %s ", p.name)
	killer := killedBy(p.command.ProcessState)
	switch {
	case p.late:
		words += fmt.Sprintf("did not accept within its max_time, %v", p.maxTime)
	case killer != "":
		words += fmt.Sprintf("was killed by %s before it accepted", killer)
	default:
		words += fmt.Sprintf("exited with status %d before it accepted", p.command.ProcessState.ExitCode())
	}
	if last := p.stderr.lastLine(); last != "" {
		words += ": " + last
	}
	return words
}
