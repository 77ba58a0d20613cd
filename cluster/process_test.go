package cluster_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/zioflow/gateway/cluster"
	"github.com/zioflow/gateway/gateway"
	"github.com/zioflow/gateway/gateway/config"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// childVariable has this program be a gateway of that configuration, in a process of its
// own, which can be killed.
const childVariable = "ZIO_CLUSTER_TEST_NODE"

// grpcVariable is where such a gateway serves gRPC; at any port without it.
const grpcVariable = "ZIO_CLUSTER_TEST_GRPC"

// protocolVariable is the version of the protocol that such a gateway speaks; the present one
// without it.
const protocolVariable = "ZIO_CLUSTER_TEST_PROTOCOL"

// beGateway runs a gateway until SIGTERM. It prints its addresses.
func beGateway(text string) int {
	c := gateway.DefaultConfig()
	c.ZMQ.Servers, c.ZMQ.Routers = nil, nil
	c.GRPC.Addresses, c.HTTP.Address, c.Node.Name = []string{cmp.Or(os.Getenv(grpcVariable), "127.0.0.1:0")}, "none", "none"
	c.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	if protocol, err := strconv.ParseUint(os.Getenv(protocolVariable), 10, 32); err == nil {
		cluster.Speak(uint32(protocol))
	}
	err := json.Unmarshal([]byte(text), &c.Cluster)
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		var g *gateway.Gateway
		if g, err = gateway.New(c); err == nil {
			_ = json.NewEncoder(os.Stdout).Encode(g.Addresses())
			err = g.Run(ctx)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// process is a node in a process of its own.
type process struct {
	*node
	command   *exec.Cmd
	addresses gateway.Addresses
}

// spawn starts a node; on has the command run elsewhere, nil for here.
func (r *rig) spawn(c config.Cluster, on func(*exec.Cmd)) *process {
	r.t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		r.t.Fatal(err)
	}
	p := &process{node: &node{t: r.t, name: c.Node, log: new(logged)}, command: exec.Command(os.Args[0])}
	p.command.Env = append(os.Environ(), childVariable+"="+string(text))
	p.command.Stderr = p.log
	if on != nil {
		on(p.command)
	}
	out, err := p.command.StdoutPipe()
	if err == nil {
		err = p.command.Start()
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if r.t.Failed() {
			r.t.Logf("log of %s:\n%s", p.name, p.log)
		}
	})
	r.t.Cleanup(p.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil {
		err = json.Unmarshal([]byte(line), &p.addresses)
	}
	if err != nil {
		r.t.Fatalf("%v: %s", err, p.log)
	}
	return p
}

// dial connects to its gRPC address as somebody there does.
func (p *process) dial(options ...grpc.DialOption) {
	p.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+p.addresses.GRPC, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	p.conn = conn
}

// signal sends a signal. SIGSTOP stops a process when one of its threads is run next: by then
// it may have done much.
func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.command.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
	if s != syscall.SIGSTOP || runtime.GOOS != "linux" {
		return
	}
	until(p.t, "it has stopped", func() bool {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.command.Process.Pid))
		_, state, _ := strings.Cut(string(text), ") ") // behind its name
		return err == nil && strings.HasPrefix(state, "T")
	})
}

// kill is kill -9. Killing again does nothing.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	_ = p.command.Wait()
}

// trials is how often a death is tried: once, and more often in the soak, which wants
// figures.
func trials(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("ZIO_CLUSTER_TRIALS"))
	if err != nil {
		return 1
	}
	return n
}

// TestDeadNode: a node that is killed or frozen is known dead, its flows end peer_gone where
// their other side is, a next flow goes elsewhere, and nobody else is taken for dead.
func TestDeadNode(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.start("a")
	c := r.start("c", a)
	lc := c.listen(&gatewayv1.ListenRequest{Name: "raw", Match: "attributes.at == 'c'"})
	a.knows(1, 1)
	for how, s := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "frozen": syscall.SIGSTOP} {
		var told, left []time.Duration
		for trial := range trials(t) {
			clients, tables := dies(t, r, a, c, lc, fmt.Sprintf("b%s%d", how, trial), s)
			told, left = append(told, clients), append(left, tables)
		}
		for what, took := range map[string][]time.Duration{"the clients were told": told, "its listeners had left the tables of both others": left} {
			slices.Sort(took)
			t.Logf("%s: %s after %v (median), %v at the most, of %d", how, what, took[len(took)/2], took[len(took)-1], len(took))
		}
	}
	for _, n := range []*node{a, c} {
		for line := range strings.Lines(n.log.String()) {
			if strings.Contains(line, "node left") && !strings.Contains(line, "node=b") {
				t.Errorf("%s took somebody else for dead: %s", n.name, line)
			}
		}
	}
}

// dies has one node die while it has flows of others, and returns how long it took until those
// were told, and until its listeners were in nobody's table any more.
func dies(t *testing.T, r *rig, a, c *node, lc *listening, name string, s syscall.Signal) (told, left time.Duration) {
	t.Helper()
	options := r.config(name, a, c).Cluster
	b := r.spawn(options, nil)
	b.dial()
	l := b.listen(&gatewayv1.ListenRequest{Name: "dying", Match: "attributes.at == 'b'"})
	a.knows(2, 2)
	c.knows(2, 1)
	bot := &gatewayv1.Bot{Direction: extract, Credit: 1, Label: `{"at":"c"}`}
	begin := func(at *node) *stream {
		client := at.open(&gatewayv1.Bot{Direction: extract, Credit: 1, Label: `{"at":"b"}`})
		handler := b.open(&gatewayv1.Bot{Cid: l.next().GetCid(), Direction: inject, Credit: 1})
		handler.next()
		client.next()
		return client
	}
	clients := map[string]*stream{"a": begin(a), "c": begin(c)}
	back := b.open(bot) // a flow of the dying node, whose handler is alive
	handler := c.open(&gatewayv1.Bot{Cid: lc.next().GetCid(), Direction: inject, Credit: 1})
	handler.next()
	back.next()
	clients["the handler at c"] = handler
	since := time.Now()
	b.signal(s)
	for who, client := range clients {
		if reason, detail := client.ends(); reason != gatewayv1.EndReason_END_REASON_PEER_GONE {
			t.Errorf("%s was told %v %q", who, reason, detail)
		}
	}
	told = time.Since(since)
	a.knows(1, 1)
	c.knows(1, 0)
	left = time.Since(since)
	client := a.open(bot) // a next flow works
	handler = c.open(&gatewayv1.Bot{Cid: lc.next().GetCid(), Direction: inject, Credit: 1})
	handler.next()
	client.next()
	client.eot()
	handler.ends()
	handler.eot()
	client.ends()
	l.cancel()
	b.kill()
	return told, left
}

// TestThawedNode: a node that was frozen, and taken for dead, is one of them again when it
// goes on, and takes nobody for dead.
func TestThawedNode(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.start("a")
	b := r.spawn(r.config("b", a).Cluster, nil)
	b.dial()
	l := b.listen(&gatewayv1.ListenRequest{Name: "raw"})
	a.knows(1, 1)
	b.signal(syscall.SIGSTOP)
	a.knows(0, 0)
	b.signal(syscall.SIGCONT)
	a.knows(1, 1)
	client := a.open(&gatewayv1.Bot{Direction: extract, Credit: 1})
	handler := b.open(&gatewayv1.Bot{Cid: l.next().GetCid(), Direction: inject, Credit: 1})
	handler.next()
	client.next()
	if strings.Contains(b.log.String(), "node left") {
		t.Error("who was frozen took the others for dead")
	}
}
