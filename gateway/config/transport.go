package config

import (
	"net"
	"slices"

	"github.com/zioflow/gateway/internal/loopback"
	"github.com/zioflow/gateway/internal/unixsocket"
	"github.com/zioflow/gateway/server/admin"
	"github.com/zioflow/gateway/zmqbridge"
)

// Transport is one way by which peers, or operators, come to a gateway. It is not to be
// changed.
type Transport struct {
	// Name is as operators, metrics and the ready file have it.
	Name string
	// Front is what it belongs to, as --insecure has it.
	Front string
	// Configured are its addresses: those of its Sockets, if it has any.
	Configured func(c *Config) []string
	// Local tells whether only this machine can reach an address.
	Local func(address string) bool

	option string // by which it has its addresses
	// encrypted and asks tell what those who come find.
	encrypted, asks func(c *Config) bool
	// security is a word for that, for operators; nil for "none".
	security func(c *Config) string
	// want says how to secure it, or that it can be open.
	want string
}

// The transports' names.
const (
	ServerTransport = "zmq-server"
	RouterTransport = "zmq-router"
	GRPCTransport   = "grpc"
	HTTPTransport   = "http"
	// Between the nodes of a cluster: NATS, and gRPC.
	ClusterTransport = "cluster"
	PeerTransport    = "cluster-peer"
)

// Transports are all that there are, in the order in which they are opened.
func Transports() []Transport {
	return []Transport{servers, routers, overGRPC, natsRoutes, nodePeers, overHTTP}
}

// TransportOf is the transport of that name, which is one of the constants.
func TransportOf(name string) *Transport {
	all := Transports()
	return &all[slices.IndexFunc(all, func(t Transport) bool { return t.Name == name })]
}

// The two sockets of ZIO's.
var (
	servers = Transport{
		Name: ServerTransport, Front: "zmq", option: "--zmq-server", Local: zmqbridge.IsLocal,
		Configured: func(c *Config) []string { return c.addresses(ServerTransport, c.ZMQ.Servers...) },
		encrypted:  usesCurve, asks: usesCurve, security: curveWord, want: wantCurve,
	}
	routers = Transport{
		Name: RouterTransport, Front: "zmq", option: "--zmq-router", Local: zmqbridge.IsLocal,
		Configured: func(c *Config) []string { return c.addresses(RouterTransport, c.ZMQ.Routers...) },
		encrypted:  usesCurve, asks: usesCurve, security: curveWord, want: wantCurve,
	}
)

const wantCurve = "--zmq-curve-key and --identities secure it"

func usesCurve(c *Config) bool { return c.Security.CurveKey != "" }

func curveWord(c *Config) string {
	if usesCurve(c) {
		return "curve"
	}
	return "none"
}

var overGRPC = Transport{
	Name: GRPCTransport, Front: "grpc", option: "--grpc", Local: isLocal,
	Configured: func(c *Config) []string { return c.addresses(GRPCTransport, c.GRPC.Addresses...) },
	encrypted:  func(c *Config) bool { return c.Security.TLSCert != "" },
	asks:       func(c *Config) bool { return c.Security.Identities != "" },
	security:   func(c *Config) string { return c.Security.tlsWord() },
	want:       "--tls-cert, --tls-key and --identities secure it",
}

var overHTTP = Transport{
	Name: HTTPTransport, Front: "http", option: "--http", Local: isLocal,
	Configured: func(c *Config) []string { return c.addresses(HTTPTransport, c.HTTP.Address) },
	encrypted:  never, asks: never, want: "--public-http allows it",
}

// isLocal tells whether only this machine can reach HOST:PORT, or a socket.
func isLocal(address string) bool {
	_, socket := unixsocket.PathOf(address)
	return socket || loopback.HostPort(address)
}

func never(*Config) bool { return false }

// Endpoints are addresses of the transport as operators see them.
func (t *Transport) Endpoints(c *Config, addresses ...string) []admin.Endpoint {
	security := "none"
	if t.security != nil {
		security = t.security(c)
	}
	all := make([]admin.Endpoint, len(addresses))
	for i, a := range addresses {
		all[i] = admin.Endpoint{Transport: t.Name, Address: a, Security: security}
	}
	return all
}

// Activated are the transports that take Sockets.
func Activated() []string {
	return []string{ServerTransport, RouterTransport, GRPCTransport, HTTPTransport}
}

// addresses are those of the sockets of a transport or, where it has none, those that are
// configured.
func (c *Config) addresses(transport string, configured ...string) []string {
	sockets := c.Sockets[transport]
	if len(sockets) == 0 {
		return Chosen(configured...)
	}
	all := make([]string, len(sockets))
	for i, l := range sockets {
		all[i] = AddressOf(transport, l)
	}
	return all
}

// AddressOf is where peers reach a listener of a transport.
func AddressOf(transport string, l net.Listener) string {
	if transport == ServerTransport || transport == RouterTransport {
		return zmqbridge.AddressOf(l)
	}
	if socket, is := l.Addr().(*net.UnixAddr); is {
		return unixsocket.AddressOf(socket.Name)
	}
	return l.Addr().String()
}

// secured tells whether it lets in only whom it knows, and nobody else reads what crosses.
func (t *Transport) secured(c *Config) bool { return t.encrypted(c) && t.asks(c) }

// lacks is what is missing, in words.
func (t *Transport) lacks(c *Config) string {
	switch {
	case !t.encrypted(c) && !t.asks(c):
		return "in clear text, and nobody is asked who he is"
	case !t.encrypted(c):
		return "in clear text"
	}
	return "nobody is asked who he is"
}

// Chosen is a list of addresses without the word "none", which stands for no address.
func Chosen(addresses ...string) []string {
	return slices.DeleteFunc(slices.Clone(addresses), func(a string) bool { return a == "none" || a == "" })
}
