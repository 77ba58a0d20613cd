//go:build soak

package soak

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// usage is what a process holds.
type usage struct {
	rss, peak            int64 // bytes
	descriptors, threads int
}

func (g *gateway) usage(t *testing.T) usage {
	t.Helper()
	u, err := readUsage(g.pid())
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func readUsage(pid int) (u usage, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(status)) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(words[1], 10, 64)
		switch words[0] {
		case "VmRSS:":
			u.rss = n << 10
		case "VmHWM:":
			u.peak = n << 10
		case "Threads:":
			u.threads = int(n)
		}
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	u.descriptors = len(open)
	return u, err
}

// memory samples a process's RSS until it is stopped.
type memory struct {
	pid  int
	done chan struct{}
	wait sync.WaitGroup
	rss  []int64 // the goroutine's, then the caller's of stop
}

func watchMemory(g *gateway, every time.Duration) *memory {
	m := &memory{pid: g.pid(), done: make(chan struct{})}
	m.wait.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			if u, err := readUsage(m.pid); err == nil {
				m.rss = append(m.rss, u.rss)
			}
			select {
			case <-ticker.C:
			case <-m.done:
				return
			}
		}
	})
	return m
}

// stop answers the samples.
func (m *memory) stop() []int64 {
	close(m.done)
	m.wait.Wait()
	return m.rss
}

func mean(values []int64) int64 {
	var sum int64
	for _, v := range values {
		sum += v
	}
	return sum / int64(max(1, len(values)))
}

// descriptorLimit is how many descriptors a process may have here.
func descriptorLimit(t *testing.T) int {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	return int(min(limit.Cur, 1<<20))
}
