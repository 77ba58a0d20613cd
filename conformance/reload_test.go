package main_test

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/zioflow/gateway/broker/zio"
)

// configured is a gateway with a file that can be changed.
type configured struct {
	*program
	path string
}

func serveConfigured(t *testing.T, text string) configured {
	t.Helper()
	flag := file(t, text)
	_, path, _ := strings.Cut(flag, "=")
	return configured{serve(t, []string{"--default-routes", flag}, nil), path}
}

// change writes the file anew, has the gateway read it, and waits until the log
// says what came of it.
func (c configured) change(t *testing.T, text, want string) {
	t.Helper()
	if err := os.WriteFile(c.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c.signal(t, syscall.SIGHUP)
	c.log.waitFor(t, want)
}

// wantCredit opens a flow and checks the credit that it is given.
func (c configured) wantCredit(t *testing.T, want int64) peer {
	t.Helper()
	client := c.dial(t, viaClient)
	mustSend(t, client, botMessage(zio.Inject, 5000, 0))
	if m := mustRecv(t, client, zio.BOT); m.Credit != want {
		t.Errorf("a flow's credit is %d, want %d", m.Credit, want)
	}
	return client
}

// TestReload: SIGHUP puts a changed file to use for new flows and leaves those
// there are alone; what is wrong in it changes nothing.
func TestReload(t *testing.T) {
	g := serveConfigured(t, "max-credit: 100\nmax-flows: 10\n")
	before := g.wantCredit(t, 100)

	g.change(t, "max-credit: 7\nmax-flows: 10\nheartbeat: 1s\n", "max-credit: 7, was 100")
	g.log.waitFor(t, "heartbeat: 1s, was 2s")
	g.wantCredit(t, 7)
	mustSend(t, before, payMessage(100))
	for range 10 { // of generate's DATs, beyond the new credit
		mustRecv(t, before, zio.DAT)
	}

	for _, wrong := range []struct{ text, message string }{
		{"max-credit: 3\nmax-flows: 0\n", "max-flows is 0"},
		{"max-credit: 3\nmax-flow: 10\n", "max-flow is not an option"},
		{"max-credit: [\n", "gateway.yaml"},
		{"max-credit: 200\n", "needs a restart"},
	} {
		g.change(t, wrong.text, wrong.message)
		g.wantCredit(t, 7)
	}
	g.change(t, "max-credit: 100\n", "max-flows: 20000, was 10")
	g.wantCredit(t, 100)
}
