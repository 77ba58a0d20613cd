package cluster_test

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"testing"
	"time"

	"google.golang.org/grpc"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/netns"
)

// street is two hosts with a router between them, which can stop to pass on what comes,
// without a word to anybody.
type street struct {
	t      *testing.T
	router *netns.Host
	hosts  [2]*netns.Host
}

func newStreet(t *testing.T) *street {
	t.Helper()
	s := &street{t: t, router: netns.New(t)}
	for i := range s.hosts {
		s.hosts[i] = netns.New(t)
		netns.Link(s.hosts[i], fmt.Sprintf("10.9.%d.1/24", i), s.router, fmt.Sprintf("10.9.%d.2/24", i))
		s.hosts[i].IP("route add default via 10.9.%d.2", i)
	}
	s.open(true)
	return s
}

// open has the router pass on what comes, or not.
func (s *street) open(on bool) {
	s.t.Helper()
	bit := 0
	if on {
		bit = 1
	}
	c := exec.Command("sh", "-c", fmt.Sprintf("echo %d > /proc/sys/net/ipv4/ip_forward", bit))
	s.router.On(c)
	if out, err := c.CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
}

// spawn starts a node on one of the hosts.
func (s *street) spawn(r *rig, i int, name string, join ...*process) *process {
	s.t.Helper()
	c := r.config(name).Cluster
	c.Listen, c.Peer = fmt.Sprintf("10.9.%d.1:0", i), fmt.Sprintf("10.9.%d.1:0", i)
	for _, other := range join {
		c.Join = append(c.Join, other.addresses.Cluster)
	}
	p := r.spawn(c, s.hosts[i].On)
	p.dial(grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
		return s.hosts[i].Dial(ctx, "tcp", address)
	}))
	return p
}

// cluster is what the node knows of it.
func (p *process) cluster() *gatewayv1.ClusterStatus {
	p.t.Helper()
	status, err := gatewayv1.NewAdminServiceClient(p.conn).GetStatus(context.Background(), &gatewayv1.GetStatusRequest{})
	if err != nil {
		p.t.Fatal(err)
	}
	return status.GetCluster()
}

// sees waits until the node knows so many nodes, itself included, with so many listeners.
func (p *process) sees(nodes, listeners int) {
	p.t.Helper()
	until(p.t, fmt.Sprintf("%s sees %d nodes with %d listeners", p.name, nodes, listeners), func() bool {
		all, n := p.cluster().GetNodes(), 0
		for _, node := range all {
			n += int(node.GetListeners())
		}
		return len(all) == nodes && n == listeners
	})
}

// TestCutNetwork: when nothing crosses any more both halves know, end what was carried,
// and go on with what they have; when it crosses again they are one.
func TestCutNetwork(t *testing.T) {
	t.Parallel()
	s := newStreet(t)
	r := newRig(t)
	a := s.spawn(r, 0, "a")
	b := s.spawn(r, 1, "b", a)
	la := a.listen(&gatewayv1.ListenRequest{Name: "a", Match: "attributes.at == 'a'"})
	lb := b.listen(&gatewayv1.ListenRequest{Name: "b", Match: "attributes.at == 'b'"})
	for range trials(t) {
		a.sees(2, 2)
		b.sees(2, 2)
		client, handler := flowFrom(a.node, b.node, lb, "b")
		s.open(false)
		since := time.Now()
		for who, side := range map[string]*stream{"client": client, "handler": handler} {
			if reason, _ := side.ends(); reason != gatewayv1.EndReason_END_REASON_PEER_GONE {
				t.Errorf("the %s was told %v", who, reason)
			}
		}
		told := time.Since(since)
		a.sees(1, 1)
		b.sees(1, 1)
		flowFrom(a.node, a.node, la, "a") // both go on
		flowFrom(b.node, b.node, lb, "b")
		s.open(true)
		since = time.Now()
		a.sees(2, 2)
		b.sees(2, 2)
		t.Logf("told of the cut after %v, one again %v after its end", told, time.Since(since))
	}
	flowFrom(b.node, a.node, la, "a")
}

// flowFrom opens a flow at a node, which is accepted at another.
func flowFrom(at, by *node, l *listening, attribute string) (client, handler *stream) {
	at.t.Helper()
	client = at.open(&gatewayv1.Bot{Direction: extract, Credit: 1, Label: fmt.Sprintf(`{"at":%q}`, attribute)})
	handler = by.open(&gatewayv1.Bot{Cid: l.next().GetCid(), Direction: inject, Credit: 1})
	handler.next()
	client.next()
	return client, handler
}
