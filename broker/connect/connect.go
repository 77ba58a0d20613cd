// Package connect reaches handlers that do not come to the broker: those that bind a
// SERVER of their own, as ZIO's flow servers do. For every flow of its route it connects
// to one as a CLIENT and takes part in the flow on its behalf.
package connect

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/internal/slots"
)

// maxConnections is how many flows may be with such handlers at once, of all routes
// together.
const maxConnections = 1 << 14

// Directory finds nodes by name, as zre/nodes.Table does. Its method may be called
// concurrently.
type Directory interface {
	// Lookup returns the address of a node's port, tcp://HOST:PORT, or false while none is
	// known. The channel is closed when that may have changed.
	Lookup(node, port string) (address string, found bool, changed <-chan struct{})
}

// Options configure a Connector.
type Options struct {
	Broker *broker.Broker
	// Dialer makes the connections.
	Dialer Dialer
	// Directory finds the nodes of routes that name one; nil for none.
	Directory Directory
	// Log takes what goes wrong with handlers.
	Log *slog.Logger
}

// Target is where a route's handler is.
type Target struct {
	// Address is tcp://HOST:PORT, or ipc://PATH; empty where Node is set.
	Address string
	// Node and Port are the names of a node and of its port that is a SERVER.
	Node, Port string
	// ServerKey is the handler's public CURVE key, in Z85; empty for no CURVE.
	ServerKey string
	// MaxFlows is how many flows the handler may have at once from the route; 0 for any
	// number. A ZIO Flow serves one.
	MaxFlows int
}

// maxName bounds the names of nodes and ports, in bytes (RFC 36).
const maxName = 255

// Validate names the first field that makes no sense, whoever dials. The error is a
// *routing.FieldError.
func (t Target) Validate() error {
	switch {
	case t.Address == "" && t.Node == "":
		return routing.WrongField("address", "is missing: it, or node and port")
	case t.Address != "" && t.Node != "":
		return routing.WrongField("node", "and address can't both be set")
	case t.Node != "" && t.Port == "":
		return routing.WrongField("port", "is missing: the name of the node's port, such as flow")
	case t.Node == "" && t.Port != "":
		return routing.WrongField("node", "is missing: whose port it is")
	case len(t.Node) > maxName:
		return routing.WrongField("node", "has %d bytes, %d are allowed", len(t.Node), maxName)
	case len(t.Port) > maxName:
		return routing.WrongField("port", "has %d bytes, %d are allowed", len(t.Port), maxName)
	case t.MaxFlows < 0:
		return routing.WrongField("max_flows", "is %d, want 0 or more", t.MaxFlows)
	}
	return nil
}

// String is where the handler is, as operators know it.
func (t Target) String() string {
	if t.Address != "" {
		return t.Address
	}
	return fmt.Sprintf("port %s of node %s", t.Port, t.Node)
}

// Connector connects to handlers. Its methods may be called concurrently.
type Connector struct {
	options Options
	lines   *logs.Sampler
	slots   *slots.Slots // by route
	flows   sync.WaitGroup

	closing chan struct{} // closed by Close
	once    sync.Once     // for closing it
}

// New makes a Connector. It connects to nothing before a flow wants it to.
func New(o Options) *Connector {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Connector{options: o, lines: logs.NewSampler(o.Log, logs.Options{}), slots: slots.New(maxConnections), closing: make(chan struct{})}
}

// Close returns when no connection is left, or with the context's error. The broker must
// have been closed, which ends every flow and so every connection. Handlers that have not
// answered its EOT are not waited for. Closing again only waits again.
func (c *Connector) Close(ctx context.Context) error {
	c.once.Do(func() { close(c.closing) })
	done := make(chan struct{})
	go func() { // ends when the last connection does, for which each has a bound
		c.flows.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("connections to handlers are still open: %w", ctx.Err())
	}
}

// Factory makes the factory of a route. MaxFlows counts by the route's name, so that it
// holds for a route that is replaced by one of the same name, too. The error is a
// *routing.FieldError.
func (c *Connector) Factory(route string, t Target) (*Factory, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	if t.Node != "" && c.options.Directory == nil {
		return nil, routing.WrongField("node", "can't be found: this gateway is no node itself (--node)")
	}
	if err := c.options.Dialer.Check(t); err != nil {
		return nil, err
	}
	return &Factory{connector: c, route: route, target: t}, nil
}

// Factory is a routing.Factory that connects to a handler for every flow.
type Factory struct {
	connector *Connector
	route     string
	target    Target
}

// Target is where the factory connects to.
func (f *Factory) Target() Target { return f.target }

// Explain implements matching.Explainer.
func (f *Factory) Explain(*matching.View) string {
	if taken, limit := f.connector.slots.Taken(f.route, f.target.MaxFlows); taken >= limit {
		return fmt.Sprintf("%d of at most %d flows are with its handler: a flow waits until the pending deadline, "+
			"then ends with overloaded", taken, limit)
	}
	if f.target.Node == "" {
		return ""
	}
	if _, found, _ := f.connector.options.Directory.Lookup(f.target.Node, f.target.Port); !found {
		return fmt.Sprintf("but %v is not to be seen: a flow waits for it as long as --handler-wait says, "+
			"then ends with no_handler", f.target)
	}
	return ""
}
