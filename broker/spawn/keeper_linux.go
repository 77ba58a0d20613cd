package spawn

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// keeperName is under what name the program is started again to keep a command: to
// start it, and to see to it that nothing of it is left, whatever it has started and
// wherever that has hidden. A process that leaves its group and its session still
// falls to the keeper when its parent exits, since the keeper is a subreaper. The
// gateway itself cannot be one: it would not know whose its orphans are, and a program
// that embeds it may have children of its own.
const keeperName = "zio-gateway-keeper"

// The keeper's descriptors besides the command's own.
const (
	reportFD  = 3 // says how the command ended
	controlFD = 4 // ends when the command is to be killed, or the gateway is gone
)

// init makes this process a keeper, if it was started for that: with the path of the
// program, and its arguments from the name on.
func init() {
	if len(os.Args) >= 3 && os.Args[0] == keeperName {
		syscall.Exit(keep(os.Args[1], os.Args[2:])) // at once: the race detector would sleep for a second
	}
}

// keep starts a command and returns when it has ended, and all that was left of it.
func keep(path string, arguments []string) (status int) {
	runtime.LockOSThread() // the command is killed when this thread ends
	runtime.GOMAXPROCS(1)
	heedless := make(chan os.Signal, 1) // not ignored: that would be passed on
	signal.Notify(heedless, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT)
	report := os.NewFile(reportFD, "report")
	unix.CloseOnExec(reportFD)
	unix.CloseOnExec(controlFD)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		_, _ = fmt.Fprintln(report, "failed", err)
		return 1
	}
	command, err := syscall.ForkExec(path, arguments, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2},
		Sys: &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL},
	})
	if err != nil {
		_, _ = fmt.Fprintln(report, "failed", err)
		return 1
	}
	letGo()
	var killing atomic.Bool
	go func() {
		_, _ = unix.Read(controlFD, make([]byte, 1))
		killing.Store(true)
		killChildren()
	}()
	_, _ = fmt.Fprintln(report, "ended", uint32(reap(command, &killing)))
	return 0
}

// letGo closes the command's standard input and outputs here, so that others see when
// the command has closed them.
func letGo() {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	for fd := range 3 {
		if err != nil || unix.Dup3(null, fd, unix.O_CLOEXEC) != nil {
			_ = unix.Close(fd)
		}
	}
}

// reap waits for every child, those that have fallen to the keeper included, and
// answers how the command ended. When it has, the others are killed.
func reap(command int, killing *atomic.Bool) (ended unix.WaitStatus) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil: // nobody is left
			return ended
		case pid == command:
			ended = status
			killing.Store(true)
		}
		if killing.Load() {
			killChildren() // who dies may leave children
		}
	}
}

// killChildren kills all children there are now.
func killChildren() {
	own := strconv.Itoa(os.Getpid())
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil { // cannot be: the pattern is sound
		return
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // is gone
		}
		// PID (NAME) STATE PARENT …, where the name may hold anything.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) > 1 && fields[1] == own && fields[0] != "Z" {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
	}
}
