package main

import (
	"fmt"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/zmqbridge"
)

// validateZMQ names the option for ZeroMQ that makes no sense.
func (c *serveCommand) validateZMQ() error {
	for _, front := range []struct {
		option    string
		addresses []string
	}{{"--zmq-server", c.ZMQServer}, {"--zmq-router", c.ZMQRouter}} {
		for _, address := range chosen(front.addresses) {
			if err := zmqbridge.CheckAddress(address); err != nil {
				return fmt.Errorf("%s: %s: %w", front.option, address, err)
			}
		}
	}
	switch {
	case c.Heartbeat < 0:
		return fmt.Errorf("heartbeat is %v, want 0 or more", c.Heartbeat)
	case c.Heartbeat > 0 && c.HeartbeatTimeout <= 0:
		return fmt.Errorf("heartbeat-timeout is %v, want more than 0", c.HeartbeatTimeout)
	}
	return nil
}

// startZMQ serves the ZeroMQ addresses.
func (g *gateway) startZMQ(c *serveCommand) error {
	o := zmqbridge.DefaultOptions(g.broker.Options())
	o.Engine, o.Servers, o.Routers, o.Log = c.ZMQEngine, chosen(c.ZMQServer), chosen(c.ZMQRouter), g.log
	o.Heartbeat, o.HeartbeatTimeout, o.Stall = c.Heartbeat, c.HeartbeatTimeout, c.StallTimeout
	o.Access, o.PlainLocal = g.guard.policy, c.ZMQPlainLocal
	if len(o.Servers)+len(o.Routers) == 0 {
		return nil
	}
	err := g.guard.withCurve(func(secret string) (func(string) error, error) {
		o.CurveKey = secret
		bridge, err := zmqbridge.Open(g.broker, o)
		if err != nil {
			return nil, err
		}
		g.bridge = bridge
		return bridge.SetCurveKey, nil
	})
	if err != nil {
		return fmt.Errorf("zmq: %w", err)
	}
	g.instruments.watchZMQ(g.bridge)
	g.bound.ZMQServer, g.bound.ZMQRouter = g.bridge.Servers(), g.bridge.Routers()
	return nil
}

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
		return fmt.Errorf("zmq-curve-key: another key is in %s: with --zmq-engine libzmq that needs a restart", s.flags.ZMQCurveKey)
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
