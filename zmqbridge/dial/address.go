package dial

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// peerAddress is an address as package net knows it.
type peerAddress struct{ network, address string }

// CheckAddress says what is wrong with an address, as far as that can be seen
// without connecting to it.
func CheckAddress(address string) error {
	_, err := parseAddress(address)
	return err
}

func parseAddress(address string) (peerAddress, error) {
	if path, ok := strings.CutPrefix(address, "ipc://"); ok {
		if path == "" || path == "*" {
			return peerAddress{}, errors.New("an ipc address needs a path")
		}
		return peerAddress{"unix", path}, nil
	}
	rest, ok := strings.CutPrefix(address, "tcp://")
	if !ok {
		return peerAddress{}, errors.New("an address begins with tcp:// or ipc://")
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil || host == "" || strings.Contains(rest, "/") {
		return peerAddress{}, errors.New("a tcp address has the form tcp://HOST:PORT, with an IPv6 address in brackets")
	}
	if host == "*" {
		return peerAddress{}, errors.New("the host is *, which only a listening end can have")
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || port[0] == '+' {
		return peerAddress{}, fmt.Errorf("the port is %.20q, want 1 to 65535", port)
	}
	return peerAddress{"tcp", net.JoinHostPort(host, strconv.FormatUint(number, 10))}, nil
}
