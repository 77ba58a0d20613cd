//go:build linux

package zre_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zioflow/gateway/internal/netns"
	"github.com/zioflow/gateway/zre"
)

// These are times of a node that is run by runNode.
const (
	shortEvasive = 200 * time.Millisecond
	shortExpire  = 2 * time.Second
	shortRenew   = 3 // messages, of which there is one each half second
)

// runNode is what this program does when a test runs it on another host: it is a node that
// prints its events, until standard input ends.
func runNode() error {
	o := zre.DefaultOptions(os.Getenv("ZRE_TEST_NODE"))
	o.Peers.Evasive, o.Peers.Expire, o.Peers.Renew = shortEvasive, shortExpire, shortRenew
	o.Peers.Answer = time.Second
	o.Table = zre.NewTable()
	w := o.Table.Watch(100)
	n, err := zre.Open(o)
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = n.Close()
		w.Close()
	}()
	for e := range w.Events() {
		fmt.Println(e.Kind, e.Node.Name, e.Reason)
	}
	return nil
}

// printer is a process on a host, whose lines are read one by one.
type printer struct {
	lines chan string // closed when it has ended
}

// start runs until the test's end.
func start(t *testing.T, h *netns.Host, c *exec.Cmd) *printer {
	t.Helper()
	h.On(c)
	c.Stderr = os.Stderr
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	p := &printer{make(chan string, 100)}
	go func() {
		defer close(p.lines)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			p.lines <- lines.Text()
		}
		_ = c.Wait()
	}()
	t.Cleanup(func() {
		_ = stdin.Close()
		kill := time.AfterFunc(patience, func() { _ = c.Process.Kill() })
		defer kill.Stop()
		for range p.lines { // until it has ended
		}
	})
	return p
}

// want waits for a line that has some words.
func (p *printer) want(t *testing.T, words string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case line, open := <-p.lines:
			if strings.Contains(line, words) {
				return
			}
			if !open {
				t.Fatalf("it has ended without %q", words)
			}
		case <-deadline:
			t.Fatalf("it does not print %q", words)
		}
	}
}

// TestSilentNode_PEER_4_PEER_5_PEER_11: a node of pyre that only answers PINGs stays. So it
// does when HELLO is said anew, which it answers by HELLO from a new connection, and that
// not again. When the cable is cut it is given up, and found again when that is mended.
func TestSilentNode_PEER_4_PEER_5_PEER_11(t *testing.T) {
	t.Parallel()
	a, b := netns.New(t), netns.New(t)
	cable, _ := netns.Link(a, "10.9.0.1/24", b, "10.9.0.2/24")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	python, err := filepath.Abs("../.deps/python/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	ours := exec.Command(self)
	ours.Env = append(os.Environ(), "ZRE_TEST_NODE=ours")
	node := start(t, a, ours)
	theirs := start(t, b, exec.Command(python, "../conformance/zrepeer.py", "theirs"))
	theirs.want(t, `"name": "ours"`)
	node.want(t, "enter theirs")
	select {
	case line := <-node.lines:
		t.Fatalf("a node that only answers PINGs: %s", line)
	case <-time.After(shortExpire + time.Second/2): // pyre says nothing by itself for 10 s
	}
	hellos := 0
	for len(theirs.lines) > 0 {
		if strings.Contains(<-theirs.lines, "ENTER") {
			hellos++
		}
	}
	if hellos < 1 || hellos > 3 {
		t.Errorf("HELLO was said anew %d times", hellos)
	}
	a.IP("link set %s down", cable) // this end, as pyre goes offline for good when it cannot send
	begin := time.Now()
	node.want(t, "exit theirs expired")
	t.Logf("given up %v after the cable was cut", time.Since(begin).Round(time.Millisecond))
	a.IP("link set %s up", cable)
	node.want(t, "enter theirs")
}
