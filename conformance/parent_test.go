package main_test

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// startWithParent starts a command that is killed when this process is, also if it is
// frozen. The system does so when the thread ends that has started it, and threads do end
// here that were on another host's network: so there is one that stays.
func startWithParent(c *exec.Cmd) error {
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	result := make(chan error)
	parent() <- func() { result <- c.Start() }
	return <-result
}

var parent = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go beParent(work)
	return work
})

// beParent does the work on a thread of its own, as long as there is this process.
func beParent(work <-chan func()) {
	runtime.LockOSThread()
	for do := range work {
		do()
	}
}
