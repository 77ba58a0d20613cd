package operate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/zioflow/gateway/cli/exit"
	"github.com/zioflow/gateway/gateway"
	"github.com/zioflow/gateway/gateway/config"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// clustered has a gateway be a node that joins another.
func clustered(name string, join *rig) func(*gateway.Config) {
	return func(c *gateway.Config) {
		c.Cluster.Name, c.Cluster.Node, c.Security.Insecure.Cluster = "lab", name, true
		c.Cluster.Listen, c.Cluster.Peer = "127.0.0.1:0", "127.0.0.1:0"
		if join != nil {
			c.Cluster.Join = []string{join.gateway.Addresses().Cluster}
		}
	}
}

// TestCluster: the commands show what all nodes have, and steer any of them.
func TestCluster(t *testing.T) {
	t.Parallel()
	a := newRig(t, clustered("a", nil), func(c *gateway.Config) {
		c.Reread = func() (*config.Revision, error) { return nil, errors.New("there is no file") }
	})
	b := newRig(t, clustered("b", a), func(c *gateway.Config) {
		now := *c
		c.Reread = func() (*config.Revision, error) {
			return &config.Revision{Config: now, Taken: func() (changes, needRestart []string) {
				return []string{"max-flows: 7, was 8", "max-credit: 7, was 8"}, nil
			}}, nil
		}
	})
	a.until(t, func() bool {
		return len(a.gateway.Status().Cluster.Nodes) == 1 && len(b.gateway.Status().Cluster.Nodes) == 1
	})
	a.give(t, map[string]any{"stream": "raw"})
	b.give(t, map[string]any{"stream": "raw"})

	a.until(t, func() bool { // as their next beats say
		c := a.gateway.Status().Cluster
		return c.Self.Flows == 1 && c.Nodes[0].Flows == 1
	})

	a.run(t, "flows").columns(t, "NODE ID STATE …*", "a 1 active …*", "b 1 active …*")
	a.run(t, "flows", "--node", "b").columns(t, "NODE ID STATE …*", "b 1 active …*")
	a.run(t, "peers", "--transport", "grpc", "--node", "b").columns(t, "NODE ID PEER …*", "b … grpc …*")
	a.run(t, "nodes").columns(t, "cluster lab", "NODE STATE FLOWS LISTENERS …*", "a takes flows 1 0 … this one …*", "b takes flows 1 0 …*")
	a.run(t, "nodes", "--name", "b").columns(t, "cluster lab", "NODE STATE FLOWS LISTENERS …*", "b takes flows 1 0 …*")
	if out := a.run(t, "flow", "1", "--node", "b").out; !strings.Contains(out, "node          b\n") {
		t.Errorf("the flow is\n%s", out)
	}
	if s := reads(t, a.run(t, "status", "--json", "--node", "b"), &gatewayv1.GetStatusResponse{}); !s.GetCluster().GetNodes()[1].GetSelf() {
		t.Errorf("the status of b is %v", s)
	}
	a.run(t, "flow", "1", "--node", "c").fails(t, exit.NotFound, "there is no node c in the cluster, or it has left")

	a.run(t, "end", "1", "--yes", "--node", "b").columns(t, "ended flow 1 at b: builtin=dump stream=raw")
	a.run(t, "flows").columns(t, "NODE ID STATE …*", "a 1 active …*")
	b.run(t, "end", "--yes", "--filter", "attributes.stream == 'raw'").columns(t, "ended flow 1 at a: builtin=dump stream=raw")

	a.run(t, "routes", "add", "live", "--node", "b", "--match", "attributes.stream == 'live'", "--builtin=dump").
		columns(t, "added route live: builtin dump at node b; it is gone after a restart")
	a.until(t, func() bool { return strings.Contains(a.run(t, "routes").out, "live") })
	for _, r := range []*rig{a, b} {
		r.run(t, "routes", "--node", "b").columns(t, "NODE NAME FROM TAKEN FLOWS TO MATCH", "b live added 0 0 builtin dump attributes.stream == 'live'", "b dump …*", "b generate …*")
	}
	a.run(t, "routes").columns(t, "NODE NAME FROM TAKEN FLOWS TO MATCH", "b live added 0 0 builtin dump attributes.stream == 'live'", "a dump …*", "a generate …*")
	a.run(t, "routes", "test", "stream=live").columns(t, "NODE ROUTE FROM WHY",
		"b live added takes it is true; a flow is carried to node b, which finds the handler", "a dump …*", "a generate …*")
	a.run(t, "routes", "test", "--node=b", "stream=live").columns(t, "NODE ROUTE FROM WHY", "b live added takes it is true", "b dump …*", "b generate …*")
	a.run(t, "routes", "remove", "live").fails(t, exit.Refused, "this route is another node's: it is to be removed at node b")
	a.run(t, "routes", "remove", "live", "--node=b").columns(t, "removed route live: builtin dump at node b")
	b.run(t, "routes", "remove", "live").fails(t, exit.NotFound, "there is no route of this name")

	a.run(t, "drain", "--wait", "--node", "b").columns(t, "node b refuses new flows; 0 flows are left")
	if !b.gateway.Status().Draining || a.gateway.Status().Draining {
		t.Error("another drains than b")
	}
	a.run(t, "undrain", "--node", "b").columns(t, "node b takes new flows")

	a.run(t, "log-level", "debug", "--node", "b").contains(t, "the log level is debug, it was info;")
	a.run(t, "log-level", "--all-nodes").columns(t, "a: info", "b: debug")
	a.run(t, "log-level", "warn", "--all-nodes").columns(t, "a: the log level is warn, it was info; …*", "b: the log level is warn, it was debug; …*")
	a.run(t, "log-level", "--all-nodes", "--node", "b").fails(t, exit.Usage, "say one of the two")
	a.run(t, "reload", "--node", "b").columns(t, "max-flows: 7, was 8", "max-credit: 7, was 8")
	a.run(t, "reload", "--node", "a").fails(t, exit.Refused, "the configuration in force is the one before")
	some := a.run(t, "reload", "--all-nodes")
	some.fails(t, exit.Refused, "it failed at 1 of 2 nodes")
	if !strings.HasPrefix(some.out, "b: max-flows: 7, was 8\nb: max-credit: ") || !strings.HasPrefix(some.err, "a: ") {
		t.Errorf("out %q, err %q", some.out, some.err)
	}
}

// TestNoCluster: without one, a node is nobody.
func TestNoCluster(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, command := range [][]string{{"flows"}, {"peers"}, {"listeners"}, {"status"}, {"drain"}, {"routes"}, {"routes", "test"}, {"routes", "remove", "x"}, {"routes", "add", "x", "--builtin=dump"}, {"log-level"}, {"log-level", "warn"}, {"reload"}, {"end", "--yes", "1"}, {"disconnect", "--yes", "1"}} {
		r.run(t, append(command, "--node", "b")...).fails(t, exit.NotFound, "the gateway is in no cluster: it has no nodes")
	}
	r.run(t, "log-level", "--all-nodes").fails(t, exit.NotFound, "the gateway is in no cluster: it has no nodes")
}
