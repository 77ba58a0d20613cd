package spawn

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// group is the job of a command: Windows ends all that is in it when the gateway
// ends it, or is killed. What the command has started before it was put into its
// job, within its first moments, is not in it. Its methods are called in the order
// in which they stand here; terminate and kill at any time between watch and close.
type group struct {
	pid     uint32
	process windows.Handle // the command's
	job     windows.Handle
}

// prepare says how the command is to be started, and makes its job.
func (g *group) prepare(c *exec.Cmd) (err error) {
	// So that terminate reaches the command and not the gateway.
	c.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
	if g.job, err = windows.CreateJobObject(nil, nil); err != nil {
		return fmt.Errorf("CreateJobObject: %w", err)
	}
	limits := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{
		BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{LimitFlags: windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE},
	}
	if _, err := windows.SetInformationJobObject(g.job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits))); err != nil {
		g.close()
		return fmt.Errorf("SetInformationJobObject: %w", err)
	}
	return nil
}

// watch puts a command that has been started into its job.
func (g *group) watch(pid int) (err error) {
	const rights = windows.PROCESS_SET_QUOTA | windows.PROCESS_TERMINATE | windows.SYNCHRONIZE
	g.pid = uint32(pid)
	if g.process, err = windows.OpenProcess(rights, false, g.pid); err != nil {
		return fmt.Errorf("OpenProcess: %w", err)
	}
	if err := windows.AssignProcessToJobObject(g.job, g.process); err != nil && !g.exited() {
		return fmt.Errorf("AssignProcessToJobObject: %w", err)
	}
	return nil
}

// exited tells whether the command has exited already: such a one is let into no job.
func (g *group) exited() bool {
	event, err := windows.WaitForSingleObject(g.process, 0)
	return err == nil && event == windows.WAIT_OBJECT_0
}

// terminate asks the command to end, as Ctrl-Break does. One without the gateway's
// console does not hear of it, and is killed when its grace is over.
func (g *group) terminate() { _ = windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, g.pid) }

// kill ends all of the job, in which nobody may be left.
func (g *group) kill() { _ = windows.TerminateJobObject(g.job, 1) }

// await returns when the command has exited.
func (g *group) await() { _, _ = windows.WaitForSingleObject(g.process, windows.INFINITE) }

// close gives back what the group has needed.
func (g *group) close() {
	if g.process != 0 {
		_ = windows.CloseHandle(g.process)
	}
	_ = windows.CloseHandle(g.job)
}

// killedBy names the signal that has ended a process: there are none here.
func killedBy(*os.ProcessState) string { return "" }
