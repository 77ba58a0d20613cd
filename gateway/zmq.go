package gateway

import (
	"context"
	"fmt"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/server/admin"
	"github.com/zioflow/gateway/zmqbridge"
)

// zmqFront serves native peers.
type zmqFront struct {
	bridge    zmqbridge.Bridge
	endpoints []admin.Endpoint
}

// zmqTransports are the two sockets of ZIO's.
func zmqTransports() []transport {
	curve := func(c *Config) bool { return c.Security.CurveKey != "" }
	base := transport{
		front: "zmq", local: zmqbridge.IsLocal, encrypted: curve, asks: curve,
		security: func(c *Config) string {
			if curve(c) {
				return "curve"
			}
			return "none"
		},
		want: "--zmq-curve-key and --identities secure it",
	}
	servers, routers := base, base
	servers.name, servers.option = transportServer, "--zmq-server"
	servers.configured = func(c *Config) []string { return Chosen(c.ZMQ.Servers...) }
	routers.name, routers.option = transportRouter, "--zmq-router"
	routers.configured = func(c *Config) []string { return Chosen(c.ZMQ.Routers...) }
	return []transport{servers, routers}
}

// validateZMQ names the option for ZeroMQ that makes no sense.
func (c *Config) validateZMQ() error {
	for _, t := range zmqTransports() {
		for _, address := range t.configured(c) {
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

// openZMQ serves the ZeroMQ addresses.
func openZMQ(g *Gateway, c *Config) (Front, error) {
	o := zmqbridge.DefaultOptions(g.broker.Options())
	transports := zmqTransports()
	o.Engine, o.Servers, o.Routers, o.Log = c.ZMQ.Engine, transports[0].configured(c), transports[1].configured(c), g.log
	o.Heartbeat, o.HeartbeatTimeout, o.Stall = c.ZMQ.Heartbeat, c.ZMQ.HeartbeatTimeout, c.StallTimeout
	o.Access, o.PlainLocal = g.guard.policy, c.Security.PlainLocal
	if len(o.Servers)+len(o.Routers) == 0 {
		return nil, nil
	}
	f := new(zmqFront)
	err := g.guard.withCurve(func(secret string) (_ func(string) error, err error) {
		o.CurveKey = secret
		if f.bridge, err = zmqbridge.Open(g.broker, o); err != nil {
			return nil, err
		}
		return f.bridge.SetCurveKey, nil
	})
	if err != nil {
		return nil, fmt.Errorf("zmq: %w", err)
	}
	g.instruments.watchZMQ(f.bridge)
	f.endpoints = append(transports[0].endpoints(c, f.bridge.Servers()), transports[1].endpoints(c, f.bridge.Routers())...)
	return f, nil
}

// Endpoints implements Front.
func (f *zmqFront) Endpoints() []admin.Endpoint { return f.endpoints }

// Drain implements Front: ZIO has no word for it but the EOT with which the broker
// refuses a BOT.
func (f *zmqFront) Drain() {}

// Undrain implements Front.
func (f *zmqFront) Undrain() {}

// Close implements Front. The bridge's own linger bounds it.
func (f *zmqFront) Close(context.Context) error { return f.bridge.Close() }

// withCurve has a function open the addresses with the secret key, which is empty for
// no CURVE. What the function returns puts another one to use.
func (s *security) withCurve(open func(secret string) (set func(string) error, err error)) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	set, err := open(s.curve)
	s.setCurve = set
	return err
}

// checkCurve says whether another secret key can be put to use.
func (s *security) checkCurve(secret string) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if s.engine == "libzmq" && secret != s.curve {
		return fmt.Errorf("zmq-curve-key: another key is in %s: with --zmq-engine libzmq that needs a restart", s.config.CurveKey)
	}
	return nil
}

// replaceCurve puts the secret key to use for new connections, if it is another, and
// tells so. s.reloading is held.
func (s *security) replaceCurve(secret string) (changes []string) {
	if secret == s.curve {
		return nil
	}
	s.curve = secret
	if s.setCurve == nil { // the addresses will be opened with it, if there are any
		return nil
	}
	if err := s.setCurve(secret); err != nil { // not so: it was checked
		s.log.Error("CURVE key not put to use", "error", err)
		return nil
	}
	return []string{"zmq-curve-key: the public key is " + publicKey(secret)}
}

// publicKey is the one that belongs to a secret key, both in Z85.
func publicKey(secret string) string {
	key, err := access.ParseCurveKey(secret)
	if err != nil {
		return ""
	}
	public, err := key.Public()
	if err != nil {
		return ""
	}
	return public.String()
}
