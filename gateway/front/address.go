package front

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/zioflow/gateway/gateway/config"
	"github.com/zioflow/gateway/internal/unixsocket"
)

// bound is a listener with the address at which it can be reached.
type bound struct {
	net.Listener
	address string
}

// addressesOf are where listeners can be reached.
func addressesOf(listeners []bound) []string {
	addresses := make([]string, len(listeners))
	for i, l := range listeners {
		addresses[i] = l.address
	}
	return addresses
}

// listen binds all addresses of a transport, or none; or takes the sockets that it has.
func listen(t *config.Transport, c *config.Config) (all []bound, err error) {
	defer func() {
		for i := 0; err != nil && i < len(all); i++ {
			err = errors.Join(err, all[i].Close())
		}
	}()
	if sockets := c.Sockets[t.Name]; len(sockets) > 0 {
		for _, l := range sockets {
			all = append(all, bound{unixsocket.Named(l), config.AddressOf(t.Name, l)})
		}
		return all, nil
	}
	for _, address := range t.Configured(c) {
		listeners, err := bind(address)
		if err != nil {
			return all, fmt.Errorf("%s: %w", t.Name, err)
		}
		for _, l := range listeners {
			all = append(all, bound{l, boundAddress(l, address)})
		}
	}
	return all, nil
}

// bind binds unix:PATH, or HOST:PORT, where * is every interface, or any free port, and
// localhost may be two addresses.
func bind(address string) ([]net.Listener, error) {
	if path, socket := unixsocket.PathOf(address); socket {
		l, err := unixsocket.Listen(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", address, err)
		}
		return []net.Listener{l}, nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if port == "*" {
		port = "0"
	}
	switch host {
	case "*":
		host = ""
	case "localhost":
		return bindLocalhost(port)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, err
	}
	return []net.Listener{l}, nil
}

// freePorts is how many free ports of 127.0.0.1 are tried for one that is free at [::1] too.
const freePorts = 20

// bindLocalhost binds a port of 127.0.0.1 and of [::1], as clients try the one or the other
// first; what the machine does not have is left out.
func bindLocalhost(port string) ([]net.Listener, error) {
	hosts := loopbacks()
	for tries := 1; ; tries++ {
		first, err := net.Listen("tcp", net.JoinHostPort(hosts[0], port))
		if err != nil {
			return nil, err
		}
		if len(hosts) == 1 {
			return []net.Listener{first}, nil
		}
		second, err := net.Listen("tcp", net.JoinHostPort(hosts[1], strconv.Itoa(first.Addr().(*net.TCPAddr).Port)))
		if err == nil {
			return []net.Listener{first, second}, nil
		}
		if closing := first.Close(); port != "0" || tries == freePorts {
			return nil, errors.Join(err, closing)
		}
	}
}

// loopbacks are the addresses that this machine has of those for localhost, at least one.
func loopbacks() (hosts []string) {
	addresses, _ := net.InterfaceAddrs() // where that is not told, there is IPv4
	for _, host := range []string{"127.0.0.1", "::1"} {
		for _, a := range addresses {
			if n, is := a.(*net.IPNet); is && n.IP.Equal(net.ParseIP(host)) {
				hosts = append(hosts, host)
				break
			}
		}
	}
	if len(hosts) == 0 {
		return []string{"127.0.0.1"}
	}
	return hosts
}

// boundAddress is where a listener can be reached. A link-local address can be only with
// its zone, which not every system tells of a socket that was bound with it.
func boundAddress(l net.Listener, configured string) string {
	bound, isTCP := l.Addr().(*net.TCPAddr)
	host, _, err := net.SplitHostPort(configured)
	_, zone, zoned := strings.Cut(host, "%")
	if !isTCP || err != nil || !zoned || bound.Zone != "" {
		return config.AddressOf(config.GRPCTransport, l) // as HTTP's
	}
	return (&net.TCPAddr{IP: bound.IP, Port: bound.Port, Zone: zone}).String()
}
