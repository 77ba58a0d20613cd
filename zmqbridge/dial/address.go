package dial

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// target is an address as package net knows it.
type target struct{ network, address string }

// CheckAddress says what is wrong with an address, as far as that can be seen
// without connecting to it.
func CheckAddress(address string) error {
	_, err := parseAddress(address)
	return err
}

func parseAddress(address string) (target, error) {
	if path, ok := strings.CutPrefix(address, "ipc://"); ok {
		if path == "" || path == "*" {
			return target{}, errors.New("an ipc address needs a path")
		}
		return target{"unix", path}, nil
	}
	rest, ok := strings.CutPrefix(address, "tcp://")
	if !ok {
		return target{}, errors.New("an address begins with tcp:// or ipc://")
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil || host == "" || strings.Contains(rest, "/") {
		return target{}, errors.New("a tcp address has the form tcp://HOST:PORT, with an IPv6 address in brackets")
	}
	if host == "*" {
		return target{}, errors.New("the host is *, which only a listening end can have")
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || port[0] == '+' {
		return target{}, fmt.Errorf("the port is %.20q, want 1 to 65535", port)
	}
	return target{"tcp", net.JoinHostPort(host, strconv.FormatUint(number, 10))}, nil
}
