package front

import (
	"net"
	"testing"
)

// boundAt is a listener at an address.
type boundAt struct {
	net.Listener
	address net.Addr
}

func (b boundAt) Addr() net.Addr { return b.address }

// TestBoundAddress: a link-local address keeps its zone, whatever the system says.
func TestBoundAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		bound            net.TCPAddr
		configured, want string
	}{
		{net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7}, "127.0.0.1:0", "127.0.0.1:7"},
		{net.TCPAddr{IP: net.IPv6zero, Port: 7}, ":0", "[::]:7"},
		{net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 7}, "[fe80:0::1%eth0]:0", "[fe80::1%eth0]:7"},
		{net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 7, Zone: "lan"}, "[fe80::1%2]:0", "[fe80::1%lan]:7"},
	} {
		if got := boundAddress(boundAt{address: &c.bound}, c.configured); got != c.want {
			t.Errorf("%s is bound at %s, want %s", c.configured, got, c.want)
		}
	}
}

// TestListenEverywhere: * is every interface, and any free port.
func TestListenEverywhere(t *testing.T) {
	t.Parallel()
	for address, unspecified := range map[string]bool{"*:*": true, "*:0": true, "127.0.0.1:*": false} {
		all, err := bind(address)
		if err != nil || len(all) != 1 {
			t.Errorf("%s: %v, %v", address, all, err)
			continue
		}
		l := all[0]
		bound := l.Addr().(*net.TCPAddr)
		if bound.IP.IsUnspecified() != unspecified || bound.Port == 0 {
			t.Errorf("%s is bound as %v", address, bound)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestLocalhost: it is whatever a client takes it for, at one port.
func TestLocalhost(t *testing.T) {
	t.Parallel()
	all, err := bind("localhost:*")
	if err != nil || len(all) != len(loopbacks()) {
		t.Fatalf("%v, %v; this machine has %v", all, err, loopbacks())
	}
	_, port, err := net.SplitHostPort(all[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for i, host := range loopbacks() {
		conn, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Errorf("%s: %v", host, err)
		} else {
			_ = conn.Close()
		}
		if err := all[i].Close(); err != nil {
			t.Error(err)
		}
	}
}
