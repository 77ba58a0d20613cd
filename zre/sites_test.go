package zre

import (
	"net/netip"
	"reflect"
	"testing"
)

func ifaces(words ...string) (all []iface) {
	for _, word := range words {
		p := netip.MustParsePrefix(word)
		all = append(all, iface{p, p.Addr().IsLoopback()})
	}
	return all
}

// TestOneAddress_PEER_1: on each network one address is announced for each port, and one
// that can be reached from there.
func TestOneAddress_PEER_1(t *testing.T) {
	t.Parallel()
	two := ifaces("127.0.0.1/8", "10.9.0.1/24", "10.8.0.1/16")
	type told map[string]string // by network
	for _, c := range []struct {
		name     string
		all      []iface
		loopback bool
		bound    []string
		want     told
		beacons  []string
	}{
		{"loopback alone is bound", two, true, []string{"tcp://127.0.0.1:5555"},
			told{"127.0.0.1/8": "tcp://127.0.0.1:5555"}, []string{"127.255.255.255"}},
		{"all interfaces are bound", two, false, []string{"tcp://0.0.0.0:5555"},
			told{"10.9.0.1/24": "tcp://10.9.0.1:5555", "10.8.0.1/16": "tcp://10.8.0.1:5555"}, []string{"10.9.0.255", "10.8.255.255"}},
		{"the same with IPv6", two, false, []string{"tcp://[::]:5555"},
			told{"10.9.0.1/24": "tcp://10.9.0.1:5555", "10.8.0.1/16": "tcp://10.8.0.1:5555"}, []string{"10.9.0.255", "10.8.255.255"}},
		{"one interface is bound", two, false, []string{"tcp://10.8.0.1:5555"},
			told{"10.9.0.1/24": "", "10.8.0.1/16": "tcp://10.8.0.1:5555"}, []string{"10.9.0.255", "10.8.255.255"}},
		{"one by itself and all", two, false, []string{"tcp://0.0.0.0:1", "tcp://10.8.0.1:2"},
			told{"10.9.0.1/24": "tcp://10.9.0.1:1", "10.8.0.1/16": "tcp://10.8.0.1:2"}, []string{"10.9.0.255", "10.8.255.255"}},
		{"all are bound, loopback is wanted", two, true, []string{"tcp://*:5555"},
			told{"127.0.0.1/8": "tcp://127.0.0.1:5555"}, []string{"127.255.255.255"}},
		{"one is bound, loopback is wanted", two, true, []string{"ipc:///run/flow", "tcp://10.8.0.1:5555"},
			told{"127.0.0.1/8": "tcp://10.8.0.1:5555"}, []string{"127.255.255.255"}},
		{"loopback is bound, others are wanted", two, false, []string{"tcp://127.0.0.1:5555"},
			told{"10.9.0.1/24": "", "10.8.0.1/16": ""}, []string{"10.9.0.255", "10.8.255.255"}},
		{"there is loopback alone", ifaces("127.0.0.1/8"), false, []string{"tcp://0.0.0.0:5555"},
			told{"127.0.0.1/8": "tcp://127.0.0.1:5555"}, []string{"127.255.255.255"}},
		{"networks without broadcast", ifaces("10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/30"), false, []string{"tcp://0.0.0.0:1"},
			told{"10.0.0.4/30": "tcp://10.0.0.4:1"}, []string{"10.0.0.7"}},
		{"nothing can be reached", two, false, []string{"ipc:///run/flow"},
			told{"10.9.0.1/24": "", "10.8.0.1/16": ""}, []string{"10.9.0.255", "10.8.255.255"}},
		{"nothing is bound", two, true, nil,
			told{"127.0.0.1/8": ""}, []string{"127.255.255.255"}},
		{"there is no interface", nil, false, []string{"tcp://0.0.0.0:5555"}, nil, nil},
	} {
		o := DefaultOptions("n")
		o.Loopback, o.Ports = c.loopback, []Bound{{Name: "flow", Socket: "SERVER", Addresses: c.bound}}
		a, beacons := o.announcement(c.all, 4000)
		var got told
		for _, s := range a.Sites {
			if got == nil {
				got = told{}
			}
			got[s.Prefix.String()] = s.Headers["zio.port.flow.address"]
			if address := got[s.Prefix.String()]; (address != "") != (s.Headers["zio.port.flow.socket"] == "SERVER") || s.Endpoint != "tcp://"+s.Prefix.Addr().String()+":4000" {
				t.Errorf("%s: on %v it says %v at %s", c.name, s.Prefix, s.Headers, s.Endpoint)
			}
		}
		var to []string
		for _, b := range beacons {
			to = append(to, b.String())
		}
		if !reflect.DeepEqual(got, c.want) || !reflect.DeepEqual(to, c.beacons) || len(a.Own) != len(c.all) {
			t.Errorf("%s: announced %v to %v, want %v to %v", c.name, got, to, c.want, c.beacons)
		}
	}
}

// TestPortsApart: a port that cannot be reached from a network is left out there, and the
// others are not. Nodes on this machine are told where it is all the same.
func TestPortsApart(t *testing.T) {
	t.Parallel()
	o := DefaultOptions("n")
	o.Ports = []Bound{
		{Name: "flow", Socket: "SERVER", Addresses: []string{"tcp://127.0.0.1:1"}},
		{Name: "flow-router", Socket: "ROUTER", Addresses: []string{"tcp://10.9.0.1:2", "tcp://127.0.0.1:3"}},
	}
	a, _ := o.announcement(ifaces("127.0.0.1/8", "10.9.0.1/24"), 4000)
	want := map[string]string{"zio.port.flow-router.address": "tcp://10.9.0.1:2", "zio.port.flow-router.socket": "ROUTER"}
	if len(a.Sites) != 1 || !reflect.DeepEqual(a.Sites[0].Headers, want) {
		t.Errorf("announced %+v", a.Sites)
	}
	want["zio.port.flow.address"], want["zio.port.flow.socket"] = "tcp://127.0.0.1:1", "SERVER"
	if !reflect.DeepEqual(a.Sites[0].Here, want) {
		t.Errorf("announced to this machine %+v", a.Sites)
	}
}
