package spawn

import (
	"errors"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// group is the process group of a command. Its methods are called in the order in
// which they stand here; terminate and kill at any time between watch and close.
type group struct {
	pid int // the command's, which is the group's
}

// prepare says how the command is to be started.
func (g *group) prepare(c *exec.Cmd) error {
	c.SysProcAttr = &syscall.SysProcAttr{
		Setpgid: true,
		// If the gateway is killed, so is the command.
		Pdeathsig: syscall.SIGKILL,
	}
	return nil
}

// watch takes note of a command that has been started.
func (g *group) watch(pid int) error {
	g.pid = pid
	return nil
}

// await returns when the command has exited, and leaves it to be reaped.
func (g *group) await() {
	for {
		err := unix.Waitid(unix.P_PID, g.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// close gives back what the group has needed.
func (g *group) close() {}
