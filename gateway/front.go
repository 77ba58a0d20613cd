package gateway

import (
	"context"

	"github.com/zioflow/gateway/server/admin"
)

// Front is what serves peers, or operators, at addresses of its own. Its methods may be
// called concurrently.
type Front interface {
	// Endpoints are the addresses that it has bound, and how they are secured.
	Endpoints() []admin.Endpoint
	// Drain has it tell those who ask that new flows are refused, Undrain that they are
	// not any longer. The broker refuses them; addresses stay bound.
	Drain()
	Undrain()
	// Close ends what is served, once what is queued has gone out, while ctx lasts.
	Close(ctx context.Context) error
}

// transport is one way by which peers come to a front.
type transport struct {
	name   string // as operators, metrics and the ready file have it, such as "zmq-server"
	front  string // as --insecure has it, such as "zmq"
	option string // by which it has its addresses
	// configured are its addresses.
	configured func(c *Config) []string
	// local tells whether only this machine can reach an address.
	local func(address string) bool
	// encrypted and asks tell what those who come find.
	encrypted, asks func(c *Config) bool
	// security is a word for that, for operators; nil for "none".
	security func(c *Config) string
	// want says how to secure it, or that it can be open.
	want string
}

// kind is a kind of front: the one place that a new one is registered in is kinds.
type kind struct {
	transports []transport
	// open binds the addresses and serves them; nil, without error, where there are none.
	open func(g *Gateway, c *Config) (Front, error)
	// last is closed when all others have been, so that operators see them go.
	last bool
}

// kinds are the fronts, in the order in which they are opened.
func kinds() []kind {
	return []kind{
		{transports: zmqTransports(), open: openZMQ},
		{transports: []transport{grpcTransport()}, open: openGRPC},
		{transports: []transport{httpTransport()}, open: openHTTP, last: true},
	}
}

// endpoints are addresses of a transport as operators see them.
func (t *transport) endpoints(c *Config, addresses []string) []admin.Endpoint {
	security := "none"
	if t.security != nil {
		security = t.security(c)
	}
	all := make([]admin.Endpoint, len(addresses))
	for i, a := range addresses {
		all[i] = admin.Endpoint{Transport: t.name, Address: a, Security: security}
	}
	return all
}

// secured tells whether anybody may reach it.
func (t *transport) secured(c *Config) bool { return t.encrypted(c) && t.asks(c) }

// lacks is what is missing, in words.
func (t *transport) lacks(c *Config) string {
	switch {
	case !t.encrypted(c) && !t.asks(c):
		return "in clear text, and nobody is asked who he is"
	case !t.encrypted(c):
		return "in clear text"
	}
	return "nobody is asked who he is"
}

func never(*Config) bool { return false }

// Addresses are what a gateway has bound, as the ready file has them.
type Addresses struct {
	ZMQServer []string `json:"zmq_server"`
	ZMQRouter []string `json:"zmq_router"`
	GRPC      string   `json:"grpc"`
	HTTP      string   `json:"http"`
}

// addressesOf sorts endpoints by transport.
func addressesOf(endpoints []admin.Endpoint) (a Addresses) {
	for _, e := range endpoints {
		switch e.Transport {
		case transportServer:
			a.ZMQServer = append(a.ZMQServer, e.Address)
		case transportRouter:
			a.ZMQRouter = append(a.ZMQRouter, e.Address)
		case transportGRPC:
			a.GRPC = e.Address
		case transportHTTP:
			a.HTTP = e.Address
		}
	}
	return a
}

// The transports' names.
const (
	transportServer = "zmq-server"
	transportRouter = "zmq-router"
	transportGRPC   = "grpc"
	transportHTTP   = "http"
)
