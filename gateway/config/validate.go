package config

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zioflow/gateway/internal/unixsocket"
	"github.com/zioflow/gateway/telemetry"
	"github.com/zioflow/gateway/zmqbridge"
	"github.com/zioflow/gateway/zre"
)

// Validate names the first option that makes no sense, or is not safe. It reads none of the files
// that are named.
func (c *Config) Validate() error {
	if err := errors.Join(c.BrokerLimits().Validate(), c.validateTelemetry()); err != nil {
		return err
	}
	for _, d := range []struct {
		option string
		value  time.Duration
	}{
		{"stall-timeout", c.StallTimeout}, {"keepalive", c.GRPC.Keepalive}, {"keepalive-timeout", c.GRPC.KeepaliveTimeout},
	} {
		if d.value <= 0 {
			return fmt.Errorf("%s is %v, want more than 0", d.option, d.value)
		}
	}
	if c.Routing.MaxProcesses < 1 {
		return fmt.Errorf("max-processes is %d, want more than 0", c.Routing.MaxProcesses)
	}
	for _, d := range []struct {
		option string
		value  time.Duration
	}{
		{"drain-grace", c.DrainGrace}, {"max-connection-age", c.GRPC.MaxConnectionAge},
		{"max-connection-age-grace", c.GRPC.MaxConnectionAgeGrace},
	} {
		if d.value < 0 {
			return fmt.Errorf("%s is %v, want 0 or more", d.option, d.value)
		}
	}
	for name := range c.Sockets {
		if !slices.Contains(Activated(), name) {
			return fmt.Errorf("there is a socket named %q, and no transport of that name that takes one; those are %s",
				name, strings.Join(Activated(), ", "))
		}
	}
	for _, check := range []func() error{
		c.validateZMQ, c.validateAddresses, c.validateNode, c.Security.validate, c.validateCluster, c.validateReach,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// validateTelemetry names the option that makes no sense.
func (c *Config) validateTelemetry() error {
	for _, rate := range []struct {
		option string
		value  float64
	}{{"grpc-rate-limit", c.GRPC.RateLimits.Total}, {"grpc-peer-rate-limit", c.GRPC.RateLimits.Peer}} {
		if !(rate.value >= 0) { // nor is it NaN
			return fmt.Errorf("%s is %v, want 0 or more", rate.option, rate.value)
		}
	}
	return telemetry.ExportOptions{Endpoint: c.OTLPEndpoint, Protocol: c.OTLPProtocol}.Validate()
}

// validateAddresses names the address of gRPC or HTTP that is none.
func (c *Config) validateAddresses() error {
	for _, t := range []struct {
		Transport
		check func(address string) error
	}{{overGRPC, checkAddress}, {natsRoutes, checkHostPort}, {nodePeers, checkHostPort}, {overHTTP, checkAddress}} {
		for _, address := range t.Configured(c) {
			if err := t.check(address); err != nil {
				return fmt.Errorf("%s: %s: %w", t.option, address, err)
			}
		}
	}
	return nil
}

// checkAddress says what is wrong with HOST:PORT, or the address of a socket.
func checkAddress(address string) error {
	if _, socket := unixsocket.PathOf(address); socket {
		return unixsocket.Check(address)
	}
	err := checkHostPort(address)
	if errors.Is(err, errHostPort) {
		return fmt.Errorf("%w, or unix:PATH", err)
	}
	return err
}

var errHostPort = errors.New("want HOST:PORT, with an IPv6 address in brackets")

// checkHostPort says what is wrong with an address, as far as that can be seen without
// binding it.
func checkHostPort(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return errHostPort
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil && port != "*" {
		return fmt.Errorf("the port is %q, want 0 to 65535, or * for a free one", port)
	}
	return nil
}

// validateZMQ names the option for ZeroMQ that makes no sense.
func (c *Config) validateZMQ() error {
	for _, t := range []Transport{servers, routers} {
		for _, address := range t.Configured(c) {
			if err := zmqbridge.CheckAddress(address); err != nil {
				return fmt.Errorf("%s: %s: %w", t.option, address, err)
			}
		}
	}
	switch {
	case c.ZMQ.Heartbeat < 0:
		return fmt.Errorf("heartbeat is %v, want 0 or more", c.ZMQ.Heartbeat)
	case c.ZMQ.Heartbeat > 0 && c.ZMQ.HeartbeatTimeout <= 0:
		return fmt.Errorf("heartbeat-timeout is %v, want more than 0", c.ZMQ.HeartbeatTimeout)
	}
	return nil
}

// validateNode names the option that makes no sense.
func (c *Config) validateNode() error {
	o := zre.DefaultOptions(c.Node.Name)
	if err := o.Validate(); err != nil {
		return fmt.Errorf("--node: %w", err)
	}
	o.Ports = c.Node.Ports(nil, nil)
	if err := o.Validate(); err != nil {
		return fmt.Errorf("--port-name: %w", err)
	}
	return nil
}
