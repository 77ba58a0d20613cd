package cluster_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// natsVariable has this program be a NATS server at that port of 127.0.0.1, -1 for any, in
// the place of the tests.
const natsVariable = "ZIO_CLUSTER_TEST_NATS"

// beNATS runs one until SIGTERM. It prints its URL.
func beNATS(port string) int {
	o := &natsserver.Options{Host: "127.0.0.1", NoSigs: true, NoLog: true}
	if _, err := fmt.Sscan(port, &o.Port); err != nil {
		return 1
	}
	s, err := natsserver.NewServer(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		return 1
	}
	fmt.Println(s.ClientURL())
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	<-end
	s.Shutdown()
	return 0
}

// startNATS starts a NATS server in a process of its own, and returns its URL.
func startNATS(t *testing.T, port string) (url string, kill func()) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), natsVariable+"="+port)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("no NATS server: %v", err)
	}
	return strings.TrimSpace(line), kill
}

// TestNATSAway: while an external NATS is away nobody is taken for dead, flows go on, and new
// ones find the handlers that are known. When it is back all is as before, without help.
func TestNATSAway(t *testing.T) {
	t.Parallel()
	url, kill := startNATS(t, "-1")
	r := newRig(t)
	start := func(name string) *node {
		c := r.config(name)
		c.Cluster.Listen, c.Cluster.URL = "", url
		return r.run(c)
	}
	a, b := start("a"), start("b")
	la := a.listen(&gatewayv1.ListenRequest{Name: "a", Match: "attributes.at == 'a'"})
	lb := b.listen(&gatewayv1.ListenRequest{Name: "b", Match: "attributes.at == 'b'"})
	a.knows(1, 1)
	b.knows(1, 1)
	client, handler := flowFrom(a, b, lb, "b")
	carried := keepBusy(t, "that is carried", client, handler)
	for trial := range trials(t) {
		kill()
		began := time.Now()
		a.has(map[string]float64{"nats_connected": 0})
		b.has(map[string]float64{"nats_connected": 0})
		more := b.listen(&gatewayv1.ListenRequest{Name: "more", Match: "attributes.at == 'more'"})
		flowFrom(a, a, la, "a")
		flowFrom(a, b, lb, "b")                 // it is known
		time.Sleep(span(t) - time.Since(began)) // how long it is away is what is tried
		flowFrom(a, a, la, "a")
		flowFrom(a, b, lb, "b")
		a.knows(1, 1) // not what has come meanwhile
		_, kill = startNATS(t, url[strings.LastIndexByte(url, ':')+1:])
		since := time.Now()
		a.knows(1, 2)
		t.Logf("trial %d: all was known %v after NATS was back", trial, time.Since(since))
		flowFrom(a, b, more, "more")
		more.leave()
		a.knows(1, 1)
	}
	carried.finish()
	for _, n := range []*node{a, b} {
		if strings.Contains(n.log.String(), "node left") {
			t.Errorf("%s has taken the other for dead", n.name)
		}
	}
}
