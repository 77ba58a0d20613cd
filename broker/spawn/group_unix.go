//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package spawn

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// terminate asks all of the group to end. Nobody may be left in it.
func (g *group) terminate() { _ = unix.Kill(-g.pid, unix.SIGTERM) }

// kill ends all of the group, in which nobody may be left.
func (g *group) kill() { _ = unix.Kill(-g.pid, unix.SIGKILL) }

// killedBy names the signal that has ended a process; "" for none.
func killedBy(state *os.ProcessState) string {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return unix.SignalName(status.Signal())
	}
	return ""
}
