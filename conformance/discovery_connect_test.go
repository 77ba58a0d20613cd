//go:build linux

package main_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/zioflow/gateway/internal/netns"
)

// TestConnectRouteByNode: a route to a handler by its node's name and its port's follows
// that node: it comes, is killed, and is back at another address. The handler is another
// gateway, whose SERVER is a flow server like others; clients come by ZeroMQ and gRPC.
func TestConnectRouteByNode(t *testing.T) {
	t.Parallel()
	a, b := netns.New(t), netns.New(t)
	netns.Link(a, "10.9.0.1/24", b, "10.9.0.2/24")
	near := serveOn(t, a, online, "--node=near",
		file(t, "handler-wait: 15s\npending-timeout: 20s\nroutes:\n- name: far\n  priority: 1\n  connect: {node: far, port: flow}\n"))
	transfer := func(want string, arguments ...string) {
		t.Helper()
		c := gatewayCommand(t, 2*patience, arguments, nil)
		a.On(c)
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%v: %v\n%s\n%s", arguments, err, out, near.log.text())
		}
	}
	for range 2 {
		far := serveOn(t, b, online, "--node=far") // which need not be found before a flow wants it
		for _, via := range []transportName{viaClient, viaDealer, viaGRPC} {
			where := []string{"--via=" + via.name(), "--address=" + near.addresses[via], "--timeout=20s"}
			transfer("took 3 messages", append([]string{"get", "builtin=generate", "count=3"}, where...)...)
			transfer("gave 5 messages", append([]string{"put", "--count=5", "builtin=dump"}, where...)...)
		}
		far.log.waitFor(t, "dump")
		if err := far.command.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		far.wait(t, stopLimit)
	}
}
