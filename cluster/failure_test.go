package cluster_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/cluster"
	"github.com/zioflow/gateway/gateway"
	"github.com/zioflow/gateway/gateway/config"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// TestDrainedNode: who drains is offered nothing more, what is carried goes on, and when it
// stops its flows end at the other node and its listeners are known no more.
func TestDrainedNode(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.start("a")
	b := r.start("b", a)
	c := r.start("c", b) // which a hears of by b
	lb := b.listen(&gatewayv1.ListenRequest{Name: "raw"})
	a.knows(2, 1)
	bot := &gatewayv1.Bot{Direction: extract, Credit: 1}
	client := a.open(bot)
	handler := b.open(&gatewayv1.Bot{Cid: lb.next().GetCid(), Direction: inject, Credit: 1})
	handler.next()
	client.next()

	b.Drain()
	until(t, "a knows that b drains", func() bool {
		for _, n := range a.Status().Cluster.Nodes {
			if n.Name == "b" {
				return n.Draining
			}
		}
		return false
	})
	lc := c.listen(&gatewayv1.ListenRequest{Name: "raw"})
	a.knows(2, 2)
	for range 3 {
		a.open(bot)
		lc.next()
	}
	handler.pay(1)
	if client.next().GetPay().GetCredit() != 1 {
		t.Error("what is carried does not go on")
	}
	go b.stop()
	if reason, _ := client.ends(); reason != gatewayv1.EndReason_END_REASON_DRAINING {
		t.Errorf("the client was told %v", reason)
	}
	a.knows(1, 1)
	if !strings.Contains(a.log.String(), `msg="node left the cluster" node=b`) || !strings.Contains(a.log.String(), "why=gone") {
		t.Error("the log of a does not tell that b has left")
	}
}

// TestNoCluster: a gateway without the options has none of it, and says which it lacks.
func TestNoCluster(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.config("a")
	c.Cluster = config.Cluster{}
	g := r.run(c)
	if a := g.Addresses(); a.Cluster+a.ClusterPeer != "" || g.Status().Cluster != nil {
		t.Errorf("it has a cluster: %+v", a)
	}
	for _, e := range g.Endpoints() {
		if strings.HasPrefix(e.Transport, "cluster") {
			t.Errorf("it serves %v", e)
		}
	}
	if _, err := gatewayv1.NewClusterServiceClient(g.conn).Ping(t.Context(), &gatewayv1.PingRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("ClusterService at the address for clients: %v", err)
	}
	for want, change := range map[string]func(*gateway.Config){
		"--cluster-peer: needs --cluster":                    func(c *gateway.Config) { c.Cluster = config.Cluster{Peer: "127.0.0.1:0"} },
		"--cluster-keys: is missing: whoever":                func(c *gateway.Config) { c.Cluster.Keys = "" },
		`--cluster: "a.b" is no name`:                        func(c *gateway.Config) { c.Cluster.Name = "a.b" },
		"--cluster-listen: is missing":                       func(c *gateway.Config) { c.Cluster.Listen = "" },
		"--cluster-peer: is missing":                         func(c *gateway.Config) { c.Cluster.Peer = "" },
		"--cluster-peer: 0.0.0.0:7577: other nodes are told": func(c *gateway.Config) { c.Cluster.Peer = "0.0.0.0:7577" },
		"--cluster-listen: nobody at 10.1.2.3:1 reaches 127": func(c *gateway.Config) { c.Cluster.Join = []string{"10.1.2.3:1"} },
		"--cluster-nats: the NATS that it names does what":   func(c *gateway.Config) { c.Cluster.URL = "nats://127.0.0.1:1" },
		"--cluster-join: address nowhere: missing port":      func(c *gateway.Config) { c.Cluster.Join = []string{"nowhere"} },
		"--cluster-nats-creds: needs --cluster-nats":         func(c *gateway.Config) { c.Cluster.Credentials = "x" },
		"--cluster-node: has 200 bytes":                      func(c *gateway.Config) { c.Cluster.Node = strings.Repeat("x", 200) },
		"--cluster-keys: open /nowhere/ca.pem: no such file": func(c *gateway.Config) { c.Cluster.Keys = "/nowhere" },
	} {
		c := r.config("a")
		change(&c)
		if g, err := gateway.New(c); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, %v, want %s", g, err, want)
		}
	}
}

// TestStrangers: who has no certificate of the cluster's, or one that is no node's, or one
// that has expired, hears nothing and says nothing, and a line tells of it.
func TestStrangers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.start("a")
	for name, folder := range map[string]string{
		"of another authority": keys(t, authority(t), "x", cluster.CommonName, time.Hour),
		"no node's":            keys(t, r.ca, "x", "somebody", time.Hour),
		"expired":              keys(t, r.ca, "x", cluster.CommonName, -time.Minute),
	} {
		c := r.config("x", a)
		c.Cluster.Keys = folder
		pair, err := tls.LoadX509KeyPair(folder+"/node.pem", folder+"/node.key")
		if err != nil {
			t.Fatal(err)
		}
		mine := &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true, NextProtos: []string{"h2"}} // who does not care whom it speaks to
		refusedBy(t, name, a.Addresses().ClusterPeer, mine)
		if name == "of another authority" {
			continue // which holds itself for a node, of another cluster
		}
		if g, err := gateway.New(c); err == nil || !strings.HasPrefix(err.Error(), "--cluster-keys: ") {
			t.Errorf("%s: got %v, %v, want that the certificate is no node's", name, g, err)
		}
	}
	conn, err := grpc.NewClient(a.Addresses().ClusterPeer, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: r.ca.Pool(), ServerName: cluster.CommonName})))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := gatewayv1.NewClusterServiceClient(conn).Ping(t.Context(), &gatewayv1.PingRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("without certificate: %v", err)
	}
	until(t, "the log tells", func() bool {
		return strings.Contains(a.log.String(), `msg="connection refused" endpoint=cluster-peer address=127.0.0.1`)
	})
	if _, err := gatewayv1.NewClusterServiceClient(a.conn).Ping(t.Context(), &gatewayv1.PingRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("a client calls ClusterService: %v", err)
	}
	foreign := newRig(t)
	x := foreign.start("x", a)
	x.listen(&gatewayv1.ListenRequest{Name: "raw"})
	b := r.start("b", a)
	b.knows(1, 0)
	if n := len(x.Status().Cluster.Nodes); n != 0 {
		t.Errorf("a stranger knows %d nodes", n)
	}
	until(t, "the log tells of the stranger's routes", func() bool {
		return strings.Contains(a.log.String(), `msg="connection refused" endpoint=cluster address=127.0.0.1`)
	})
	for _, endpoint := range []string{"cluster", "cluster-peer"} { // of one address, which has come again and again
		if n := strings.Count(a.log.String(), `msg="connection refused" endpoint=`+endpoint+" "); n != 1 {
			t.Errorf("%d lines of the log tell of strangers at %s, want one", n, endpoint)
		}
	}
}

// refusedBy connects to an address for gRPC, and must be told nothing.
func refusedBy(t *testing.T, name, address string, c *tls.Config) {
	t.Helper()
	conn, err := (&tls.Dialer{Config: c}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil { // a server's first SETTINGS
		t.Errorf("%s: %s has said something", name, address)
	}
}
