//go:build linux

package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/netns"
)

// pyre is a node of another make: pyre's, in Python.
type pyre struct {
	command *exec.Cmd
	stdin   io.Closer
	events  chan pyreEvent // closed when it has ended
	passed  []pyreEvent    // that nobody has wanted yet
	log     *logBuffer
	uuid    string
}

type pyreEvent struct {
	Event, UUID, Name, Endpoint string
	Headers                     map[string]string
}

// startPyre goes online on a host, until stop, kill or the test's end.
func startPyre(t *testing.T, h *netns.Host, name string, headers ...string) *pyre {
	t.Helper()
	python, err := filepath.Abs("../.deps/python/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	if err := exec.Command(python, "-c", "import pyre").Run(); err != nil {
		t.Fatalf("there is no pyre (scripts/setup.sh python): %v", err)
	}
	p := &pyre{command: exec.Command(python, append([]string{"zrepeer.py", name}, headers...)...), log: newLogBuffer()}
	p.command.Stderr = p.log
	h.On(p.command)
	stdout, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.stdin, err = p.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	p.events = make(chan pyreEvent, 100)
	go p.read(stdout)
	t.Cleanup(p.kill)
	p.uuid = p.want(t, "STARTED", name).UUID
	return p
}

func (p *pyre) read(stdout io.Reader) {
	defer close(p.events)
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var e pyreEvent
		if json.Unmarshal(lines.Bytes(), &e) == nil {
			p.events <- e
		}
	}
	_ = p.command.Wait()
}

// want waits for an event about a node of that name. Others are kept for later.
func (p *pyre) want(t *testing.T, event, name string) pyreEvent {
	t.Helper()
	wanted := func(e pyreEvent) bool { return e.Event == event && e.Name == name }
	if i := slices.IndexFunc(p.passed, wanted); i >= 0 {
		e := p.passed[i]
		p.passed = slices.Delete(p.passed, i, i+1)
		return e
	}
	deadline := time.After(patience)
	for {
		select {
		case e, open := <-p.events:
			if wanted(e) {
				return e
			}
			if !open {
				t.Fatalf("pyre has ended, without %s of %s:\n%s", event, name, p.log.text())
			}
			p.passed = append(p.passed, e)
		case <-deadline:
			t.Fatalf("pyre does not see %s of %s:\n%s", event, name, p.log.text())
		}
	}
}

// stop goes offline as a node should.
func (p *pyre) stop() { _ = p.stdin.Close() }

// kill is kill -9.
func (p *pyre) kill() {
	_ = p.command.Process.Kill()
	for range p.events { // until it has ended
	}
}

// online are the addresses of a gateway that a network reaches.
var online = []string{"--zmq-server=tcp://*:0", "--zmq-router=tcp://0.0.0.0:0", "--grpc=127.0.0.1:0", "--http=127.0.0.1:0", "--insecure"}

// found is a gateway on a host, with an operator who watches what it finds.
type found struct {
	*program
	admin gatewayv1.AdminServiceClient
	watch gatewayv1.AdminService_WatchNodesClient
	leave func() // what the operator has open
}

// serveOn runs a gateway on a host.
func serveOn(t *testing.T, h *netns.Host, addresses []string, arguments ...string) *found {
	t.Helper()
	f := &found{program: serveBy(t, onHost(h), addresses, arguments, nil)}
	conn, err := grpc.NewClient("passthrough:"+f.addresses[viaGRPC], grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return h.Dial(ctx, "tcp", address) }))
	if err != nil {
		t.Fatal(err)
	}
	f.admin = gatewayv1.NewAdminServiceClient(conn)
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	f.leave = func() { cancel(); _ = conn.Close() }
	t.Cleanup(f.leave)
	f.watch, err = f.admin.WatchNodes(ctx, &gatewayv1.WatchNodesRequest{})
	if err == nil {
		_, err = f.watch.Header()
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// onHost has a gateway run on a host, with discovery as it is by default.
func onHost(h *netns.Host) func(*exec.Cmd) {
	return func(c *exec.Cmd) {
		c.Env = slices.DeleteFunc(c.Env, func(v string) bool { return v == "ZIO_GATEWAY_NODE=none" })
		h.On(c)
	}
}

// want waits for an event about a node of that name; others are passed over.
func (f *found) want(t *testing.T, event gatewayv1.NodeEvent, name string) *gatewayv1.WatchNodesResponse {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		e, err := f.watch.Recv()
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("the gateway does not see %v of %s: %v\n%s", event, name, err, f.log.text())
		}
		if e.GetEvent() == event && e.GetNode().GetName() == name {
			return e
		}
	}
}

// node waits until the gateway knows a node of that name, and returns it.
func (f *found) node(t *testing.T, name string) (node *gatewayv1.Node) {
	t.Helper()
	eventually(t, "the node "+name, func() error {
		r, err := f.admin.ListNodes(f.watch.Context(), &gatewayv1.ListNodesRequest{Name: name})
		if err == nil && len(r.GetNodes()) != 1 {
			return fmt.Errorf("the nodes are %v", r.GetNodes())
		}
		if err == nil {
			node = r.GetNodes()[0]
		}
		return err
	})
	return node
}
