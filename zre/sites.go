package zre

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/zioflow/gateway/zre/nodes"
	"github.com/zioflow/gateway/zre/peers"
)

// iface is an IPv4 address of an interface that is up.
type iface struct {
	prefix   netip.Prefix // with the address
	loopback bool
}

// interfaces lists all of them.
func interfaces() ([]iface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var found []iface
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			continue // it has just gone
		}
		for _, a := range addresses {
			p, err := netip.ParsePrefix(a.String())
			if err != nil || !p.Addr().Unmap().Is4() {
				continue
			}
			found = append(found, iface{p, i.Flags&net.FlagLoopback != 0})
		}
	}
	return found, nil
}

// broadcast is the address that reaches all of a network; false if it has none.
func (i iface) broadcast() (netip.Addr, bool) {
	bits := i.prefix.Bits()
	if bits >= 31 {
		return netip.Addr{}, false
	}
	b := i.prefix.Addr().As4()
	for bit := bits; bit < 32; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(b), true
}

// announcement is what a node says on which network, and where its beacons go (PEER-9).
// Loopback counts where there is no other network, or none other is wanted.
func (o *Options) announcement(all []iface, inbox uint16) (a peers.Announcement, beacons []netip.Addr) {
	a.Name = o.Name
	for _, i := range all {
		a.Own = append(a.Own, i.prefix.Addr())
	}
	for _, loopback := range []bool{false, true} {
		if loopback && len(a.Sites) > 0 || !loopback && o.Loopback {
			continue
		}
		for _, i := range all {
			to, ok := i.broadcast()
			if i.loopback != loopback || !ok {
				continue
			}
			at := i.prefix.Addr()
			a.Sites = append(a.Sites, peers.Site{
				Prefix: i.prefix, Endpoint: fmt.Sprintf("tcp://%v:%d", at, inbox), Headers: o.headers(at), Here: o.headers(at, localhost),
			})
			beacons = append(beacons, to)
		}
	}
	return a, beacons
}

var localhost = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// headers are what is announced to those who reach this machine at one of these
// addresses: of each port one address, if it has one (PEER-1).
func (o *Options) headers(at ...netip.Addr) map[string]string {
	headers := map[string]string{}
	for _, p := range o.Ports {
		for _, at := range at {
			address := reachable(p.Addresses, at)
			if _, known := headers[nodes.SocketHeader(p.Name)]; known || address == "" {
				continue
			}
			headers[nodes.AddressHeader(p.Name)] = address
			headers[nodes.SocketHeader(p.Name)] = p.Socket
		}
	}
	return headers
}

// reachable is the one of the addresses that is reached by who reaches this machine at
// an address of its; empty if there is none.
func reachable(bound []string, at netip.Addr) string {
	best, rank := "", 0
	for _, address := range bound {
		host, port, ok := splitTCP(address)
		if !ok {
			continue
		}
		r := 0
		switch {
		case host == at:
			r = 3
		case host.IsUnspecified():
			r, address = 2, fmt.Sprintf("tcp://%v:%s", at, port)
		case at.IsLoopback(): // whatever this machine has is reached from there
			r = 1
		}
		if r > rank {
			best, rank = address, r
		}
	}
	return best
}

// splitTCP takes tcp://IP:PORT apart. The host * is that of all interfaces.
func splitTCP(address string) (host netip.Addr, port string, ok bool) {
	rest, tcp := strings.CutPrefix(address, "tcp://")
	name, port, err := net.SplitHostPort(rest)
	if !tcp || err != nil {
		return netip.Addr{}, "", false
	}
	if name == "*" {
		return netip.IPv4Unspecified(), port, true
	}
	host, err = netip.ParseAddr(name)
	return host.Unmap(), port, err == nil
}
