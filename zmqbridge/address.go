package zmqbridge

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/zioflow/gateway/internal/loopback"
	"github.com/zioflow/gateway/internal/unixsocket"
)

// SplitAddress returns the host of a tcp address, without brackets, which may be
// "*" for all of them. It returns false for any other transport.
func SplitAddress(address string) (host string, tcp bool) {
	rest, tcp := strings.CutPrefix(address, "tcp://")
	if !tcp {
		return "", false
	}
	host = rest[:max(0, strings.LastIndexByte(rest, ':'))]
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), true
}

// IsLocal tells whether only this machine can reach an address.
func IsLocal(address string) bool {
	host, tcp := SplitAddress(address)
	if tcp {
		return host == "lo" || loopback.Host(host)
	}
	return strings.HasPrefix(address, "ipc://") || !strings.Contains(address, "://")
}

// Reachable returns an address at which a process of this machine reaches what is
// bound to it: one that is bound to every interface is reached by loopback.
func Reachable(bound string) string {
	host, tcp := SplitAddress(bound)
	if !tcp {
		return bound
	}
	ip, err := netip.ParseAddr(host)
	if host != "*" && (err != nil || !ip.IsUnspecified()) {
		return bound
	}
	return "tcp://127.0.0.1" + bound[strings.LastIndexByte(bound, ':'):]
}

// CheckAddress says what is wrong with an address, as far as that can be seen without
// binding it.
func CheckAddress(address string) error {
	if path, ok := strings.CutPrefix(address, "ipc://"); ok {
		if path == "" {
			return errors.New("an ipc address needs a path")
		}
		return nil
	}
	host, tcp := SplitAddress(address)
	if !tcp {
		return errors.New("an address begins with tcp:// or ipc://")
	}
	_, err := parsePort(address, host)
	return err
}

// parsePort returns the port of a tcp address; 0 for any free one.
func parsePort(address, host string) (int, error) {
	text := address[strings.LastIndexByte(address, ':')+1:]
	if host == "" || strings.HasPrefix(text, "/") {
		return 0, errors.New("a tcp address has the form tcp://HOST:PORT")
	}
	if text == "*" {
		return 0, nil
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || strings.HasPrefix(text, "+") {
		return 0, fmt.Errorf("the port is %q, want 0 to 65535, or * for a free one", text)
	}
	return int(port), nil
}

// AddressOf is the address of a listener, as peers may write it.
func AddressOf(l net.Listener) string {
	if socket, is := l.Addr().(*net.UnixAddr); is {
		return "ipc://" + socket.Name
	}
	return "tcp://" + l.Addr().String()
}

// listen binds an address.
func listen(address string) (*listener, error) {
	if err := CheckAddress(address); err != nil {
		return nil, err
	}
	if path, ok := strings.CutPrefix(address, "ipc://"); ok {
		return listenIPC(path)
	}
	host, _ := SplitAddress(address)
	port, err := parsePort(address, host)
	if err != nil {
		return nil, err
	}
	network, ip, name, err := resolve(host)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen(network, net.JoinHostPort(ip, strconv.Itoa(port)))
	if err != nil {
		return nil, &bindError{bindProblem(err), err}
	}
	port = l.Addr().(*net.TCPAddr).Port
	return &listener{Listener: l, bound: "tcp://" + name + ":" + strconv.Itoa(port), local: IsLocal(address)}, nil
}

// bindError is a bind that failed, in words without the address.
type bindError struct {
	problem string
	err     error
}

func (e *bindError) Error() string { return e.problem }

// Unwrap returns package net's error.
func (e *bindError) Unwrap() error { return e.err }

// bindProblem is why a bind failed, without the address, which the caller names.
func bindProblem(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		err = call.Err
	}
	return err.Error()
}

// resolve finds the network and IP address that a host stands for, and how to write
// it in an address.
func resolve(host string) (network, ip, name string, err error) {
	if host == "*" {
		if hasIPv6() {
			return "tcp", "", "[::]", nil // IPv4 as well
		}
		return "tcp4", "", "0.0.0.0", nil
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return ipName(a)
	}
	if host == "localhost" {
		return "tcp4", "127.0.0.1", "127.0.0.1", nil
	}
	i, err := net.InterfaceByName(host)
	if err != nil {
		return "", "", "", fmt.Errorf("%q is neither an IP address nor an interface of this machine", host)
	}
	addresses, err := i.Addrs()
	if err != nil {
		return "", "", "", err
	}
	best := netip.Addr{}
	for _, address := range addresses {
		prefix, err := netip.ParsePrefix(address.String())
		if err != nil {
			continue
		}
		a := prefix.Addr()
		if a.Is6() && a.IsLinkLocalUnicast() {
			a = a.WithZone(i.Name)
		}
		if !best.IsValid() || a.Is4() && !best.Is4() {
			best = a
		}
	}
	if !best.IsValid() {
		return "", "", "", fmt.Errorf("the interface %s has no IP address", host)
	}
	return ipName(best)
}

func ipName(a netip.Addr) (network, ip, name string, err error) {
	if a.Is4() {
		return "tcp4", a.String(), a.String(), nil
	}
	if a.IsUnspecified() {
		return "tcp", "", "[::]", nil // IPv4 as well, as with libzmq
	}
	return "tcp6", a.String(), "[" + a.String() + "]", nil
}

// hasIPv6 tells whether this machine speaks IPv6.
func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

// LockPath locks the path of an ipc address; nil for any other address, and for ipc
// addresses that have no path.
func LockPath(address string) (*unixsocket.Lock, error) {
	path, isIPC := strings.CutPrefix(address, "ipc://")
	if !isIPC || path == "*" || strings.HasPrefix(path, "@") {
		return nil, nil
	}
	return unixsocket.LockPath(path)
}

// listenIPC binds a path, which stays locked for as long as it is bound: another
// gateway cannot take it over. The path is for the gateway's user and group alone. A
// path of @NAME is Linux's abstract one, and * one of the gateway's choice.
func listenIPC(path string) (_ *listener, err error) {
	l := &listener{local: true}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.giveUp())
		}
	}()
	if path == "*" {
		folder, err := os.MkdirTemp("", "zio-gateway-")
		if err != nil {
			return nil, err
		}
		path, l.folder = filepath.Join(folder, "socket"), folder
	}
	l.bound = "ipc://" + path
	if l.lock, err = LockPath(l.bound); err != nil {
		return nil, err
	}
	if err := l.lock.Clear(); err != nil {
		return nil, err
	}
	if l.Listener, err = net.Listen("unix", path); err != nil {
		return nil, &bindError{bindProblem(err), err}
	}
	if err := l.lock.Restrict(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}
