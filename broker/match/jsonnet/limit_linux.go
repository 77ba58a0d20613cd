package jsonnet

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// limitProcess has the system end the process when it takes much more than it may,
// also when the gateway is gone. Where the system does not let it, as under some
// filters of system calls, the gateway and watchMemory are what is left.
func limitProcess() {
	seconds := uint64((MaxTime + startTime) / time.Second)
	_ = unix.Setrlimit(unix.RLIMIT_CPU, &unix.Rlimit{Cur: seconds, Max: seconds})
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return
	}
	var pages uint64 // of addresses, most of which are only reserved
	if _, err := fmt.Sscan(string(text), &pages); err != nil {
		return
	}
	size := pages*uint64(os.Getpagesize()) + 4*MaxMemory
	_ = unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: size, Max: size})
}
