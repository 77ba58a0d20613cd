//go:build soak

package soak

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSignals has every thread of the gateway interrupted as often as can be, by
// the signal with which Go's scheduler does so now and then: system calls that
// it breaks off (EINTR) must not cost a peer its connection, or a message.
func TestSignals(t *testing.T) {
	g := startGateway(t)
	d := openDesk(t, g)
	var (
		honest sync.WaitGroup
		done   = make(chan struct{})
		rounds [12]int
	)
	for i := range rounds {
		honest.Go(func() {
			var err error
			if rounds[i], err = neighbour(d, transports[i%3], done); err != nil {
				t.Errorf("flow via %s, after %d messages: %v", transports[i%3], rounds[i], err)
			}
		})
	}
	signals := 0
	for until := time.Now().Add(lasting(30*time.Second, 10*time.Second)); time.Now().Before(until); {
		n, err := interrupt(g.pid())
		if err != nil {
			t.Fatal(err)
		}
		signals += n
	}
	close(done)
	honest.Wait()
	report(t, "no flow fails", "%d signals; messages of 12 flows: %v", signals, rounds)
}

// interrupt signals every thread of a process, and counts them.
func interrupt(pid int) (int, error) {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return 0, err
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			return 0, err
		}
		_ = unix.Tgkill(pid, id, unix.SIGURG) // a thread may just have ended
	}
	return len(threads), nil
}
