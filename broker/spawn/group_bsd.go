//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package spawn

import (
	"errors"
	"fmt"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// group is the process group of a command, which outlives a gateway that is killed.
// Its methods are called in the order in which they stand here; terminate and kill
// at any time between watch and close.
type group struct {
	pid    int  // the command's, which is the group's
	queue  int  // a kqueue that tells of the command's exit
	exited bool // before it could be watched
}

// prepare says how the command is to be started, and takes what watching needs.
func (g *group) prepare(c *exec.Cmd) (err error) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if g.queue, err = unix.Kqueue(); err != nil {
		return fmt.Errorf("kqueue: %w", err)
	}
	unix.CloseOnExec(g.queue)
	return nil
}

// watch takes note of a command that has been started.
func (g *group) watch(pid int) error {
	g.pid = pid
	exit := unix.Kevent_t{Fflags: unix.NOTE_EXIT}
	unix.SetKevent(&exit, pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	for {
		_, err := unix.Kevent(g.queue, []unix.Kevent_t{exit}, nil, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ESRCH): // what has exited is not looked for
			g.exited = true
			return nil
		case err != nil:
			return fmt.Errorf("kevent: %w", err)
		}
		return nil
	}
}

// await returns when the command has exited, and leaves it to be reaped.
func (g *group) await() {
	for !g.exited {
		n, err := unix.Kevent(g.queue, nil, make([]unix.Kevent_t, 1), nil)
		g.exited = n > 0 || err != nil && !errors.Is(err, unix.EINTR)
	}
}

// close gives back what watching has needed.
func (g *group) close() { _ = unix.Close(g.queue) }
