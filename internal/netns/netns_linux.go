package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// Host is a network namespace. Its loopback is up.
type Host struct {
	t    testing.TB
	name string
}

// count numbers what is made, as names are the whole machine's.
var count atomic.Int64

func unique(kind string) string { return fmt.Sprintf("z%s%d-%d", kind, os.Getpid(), count.Add(1)) }

// New makes a host, until the test's end. Where that is not possible the test is skipped,
// and says why.
func New(t testing.TB) *Host {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can make network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("there is no command ip (Debian's iproute2), which makes network namespaces")
	}
	h := &Host{t, unique("n")}
	if err := run("netns", "add", h.name); err != nil {
		t.Skipf("no network namespace can be made here: %v", err)
	}
	t.Cleanup(func() {
		if err := run("netns", "delete", h.name); err != nil {
			t.Error(err)
		}
	})
	h.IP("link set lo up")
	return h
}

// run runs the command ip.
func run(arguments ...string) error {
	if out, err := exec.Command("ip", arguments...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(arguments, " "), err, out)
	}
	return nil
}

// IP runs the command ip on the host, which must succeed.
func (h *Host) IP(format string, arguments ...any) {
	h.t.Helper()
	words := strings.Fields(fmt.Sprintf(format, arguments...))
	if err := run(append([]string{"-netns", h.name}, words...)...); err != nil {
		h.t.Fatal(err)
	}
}

// Link joins two hosts by a cable, and gives each end an address: 10.9.0.1/24. It returns
// the names of the ends.
func Link(a *Host, aAddress string, b *Host, bAddress string) (aEnd, bEnd string) {
	a.t.Helper()
	aEnd, bEnd = a.cable(b)
	a.address(aEnd, aAddress)
	b.address(bEnd, bAddress)
	return aEnd, bEnd
}

// cable joins two hosts.
func (h *Host) cable(other *Host) (end, otherEnd string) {
	h.t.Helper()
	end, otherEnd = unique("v"), unique("v")
	h.IP("link add %s type veth peer name %s netns %s", end, otherEnd, other.name)
	h.IP("link set %s up", end)
	other.IP("link set %s up", otherEnd)
	return end, otherEnd
}

func (h *Host) address(end, address string) { h.IP("address add %s broadcast + dev %s", address, end) }

// Switch joins hosts to one network, and gives each an address.
func Switch(t testing.TB, addresses map[*Host]string) {
	t.Helper()
	s := New(t)
	const bridge = "bridge"
	if err := run("-netns", s.name, "link", "add", bridge, "type", "bridge"); err != nil {
		t.Skipf("no bridge can be made here: %v", err)
	}
	s.IP("link set %s up", bridge)
	for h, address := range addresses {
		end, port := h.cable(s)
		s.IP("link set %s master %s", port, bridge)
		h.address(end, address)
	}
}

// On has a command that was not started run on the host. Its process is the program's
// own.
func (h *Host) On(c *exec.Cmd) {
	ip, err := exec.LookPath("ip")
	if err != nil {
		h.t.Fatal(err)
	}
	c.Args = append([]string{ip, "netns", "exec", h.name, c.Path}, c.Args[1:]...)
	c.Path = ip
}

// Dial connects from the host. It may be called concurrently.
func (h *Host) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = h.Do(func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Do calls a function on the host: the sockets that it makes are there, and stay there.
// It may be called concurrently.
func (h *Host) Do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread, which is there for good, ends with this
		err := h.enter()
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// enter puts the thread on the host.
func (h *Host) enter() error {
	namespace, err := os.Open("/run/netns/" + h.name)
	if err != nil {
		return err
	}
	err = unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET)
	return errors.Join(err, namespace.Close())
}
