package zre

import (
	"context"
	"fmt"
	"net"
)

// ListenBeacons listens for beacons beside nodes.
func ListenBeacons(port uint16) (*net.UDPConn, error) {
	config := net.ListenConfig{Control: share}
	udp, err := config.ListenPacket(context.Background(), "udp4", fmt.Sprintf("0.0.0.0:%d", port))
	if err != nil {
		return nil, err
	}
	return udp.(*net.UDPConn), nil
}

// MaxStrangers is the bound of connections of those who have not said HELLO.
const MaxStrangers = maxStrangers

// HandshakeTimeout is how long those who say nothing are waited for.
const HandshakeTimeout = handshakeTimeout
