//go:build soak

package soak

import (
	"testing"
	"time"
)

// TestIdleFlows opens thousands of flows, on each transport, that do nothing,
// and says what one costs the gateway, both sides together. Native flows have a
// connection for every side; gRPC flows share one for a hundred flows' sides.
func TestIdleFlows(t *testing.T) {
	for _, via := range transports {
		most := int64(32 << 10)
		if via == viaGRPC {
			most = 64 << 10
		}
		t.Run(string(via), func(t *testing.T) { testIdleFlows(t, via, most) })
	}
}

func testIdleFlows(t *testing.T, via transport, most int64) {
	flows := scaled(5000, 200)
	if native := via != viaGRPC; native {
		flows = min(flows, (descriptorLimit(t)-500)/2)
	}
	// Who does not read cannot answer heartbeats.
	g := startGateway(t, append(patientFlags, "--max-flows=20000")...)
	d := openDesk(t, g)
	dialer := &sharedDialer{via: via, address: g.addresses[via]}
	defer dialer.close()
	join := func() {
		if err := dialer.idleFlow(d); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		join()
	}
	time.Sleep(time.Second)
	base := g.usage(t)
	for range flows {
		join()
	}
	time.Sleep(5 * time.Second) // for the garbage collector
	u := g.usage(t)
	each := (u.rss - base.rss) / int64(flows)
	report(t, "≤ "+kib(most)+" a flow", "%s a flow: RSS %s with 50 flows, %s with %d; %d descriptors",
		kib(each), mib(base.rss), mib(u.rss), flows+50, u.descriptors)
	if each > most {
		t.Errorf("a flow costs %s, want at most %s", kib(each), kib(most))
	}
}

// sharedDialer makes many peers: gRPC's share connections.
type sharedDialer struct {
	via     transport
	address string
	peers   []peer
	current *grpcPeer // whose connection is shared
}

// perConnection is how many gRPC streams share a connection.
const perConnection = 200

func (s *sharedDialer) dial() (peer, error) {
	if s.via != viaGRPC {
		p, err := dialWire(s.via, s.address, len(s.peers))
		if err == nil {
			s.peers = append(s.peers, p)
		}
		return p, err
	}
	if len(s.peers)%perConnection == 0 {
		var err error
		if s.current, err = dialGRPC(s.address); err != nil {
			return nil, err
		}
		s.peers = append(s.peers, s.current)
		return s.current, nil
	}
	p := onConnection(s.current.conn)
	s.peers = append(s.peers, p)
	return p, nil
}

func (s *sharedDialer) close() {
	for _, p := range s.peers {
		p.close()
	}
}
