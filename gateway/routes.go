package gateway

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/connect"
	"github.com/zioflow/gateway/broker/routes"
	"github.com/zioflow/gateway/broker/spawn"
	"github.com/zioflow/gateway/zmqbridge"
	"github.com/zioflow/gateway/zmqbridge/reach"
)

// makeRoutes makes the routes of a configuration, checked as SetRoutes does.
func (g *Gateway) makeRoutes(c *Config) ([]broker.Route, error) {
	made := make([]broker.Route, len(c.Routing.Routes))
	for i, spec := range c.Routing.Routes {
		var err error
		if made[i], err = g.routeMaker().Make(context.Background(), spec); err != nil {
			return nil, fmt.Errorf("routes[%d].%w", i, err)
		}
	}
	if err := g.broker.CheckRoutes(made); err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	return made, nil
}

// reloadRoutes checks the routes of another configuration and returns what puts
// them to use.
func (g *Gateway) reloadRoutes(next *Config) (apply func() []string, err error) {
	made, err := g.makeRoutes(next)
	if err != nil {
		return nil, err
	}
	if next.Routing.MaxProcesses < 1 {
		return nil, fmt.Errorf("max-processes is %d, want more than 0", next.Routing.MaxProcesses)
	}
	return func() []string {
		before := g.configuredRoutes()
		_ = g.broker.SetRoutes(made)                             // they were checked
		_ = g.spawner.SetMaxProcesses(next.Routing.MaxProcesses) // likewise
		return routeChanges(before, g.configuredRoutes())
	}, nil
}

func (g *Gateway) configuredRoutes() (specs []routes.Spec) {
	for _, r := range g.broker.Routes() {
		if r.Origin == broker.Configured {
			specs = append(specs, g.routeMaker().SpecOf(r.Route))
		}
	}
	return specs
}

// routeChanges tells in words how the configured routes differ, which are in the
// order in which they are tried.
func routeChanges(before, after []routes.Spec) (changes []string) {
	named := func(list []routes.Spec, name string) int {
		return slices.IndexFunc(list, func(s routes.Spec) bool { return s.Name == name })
	}
	var stay, order []string
	for _, old := range before {
		if named(after, old.Name) < 0 {
			changes = append(changes, fmt.Sprintf("route %s: removed", old.Name))
		} else {
			stay = append(stay, old.Name)
		}
	}
	for _, spec := range after {
		i := named(before, spec.Name)
		switch {
		case i < 0:
			changes = append(changes, fmt.Sprintf("route %s: added", spec.Name))
			continue
		case !reflect.DeepEqual(before[i], spec):
			changes = append(changes, fmt.Sprintf("route %s: changed", spec.Name))
		}
		order = append(order, spec.Name)
	}
	if !slices.Equal(stay, order) {
		changes = append(changes, "routes: in another order")
	}
	return changes
}

// routeMaker makes routes of every kind that the gateway has.
func (g *Gateway) routeMaker() routes.Maker {
	return routes.Maker{Kinds: routes.Kinds{g.builtin.Kind(), routes.Listener(), g.spawner.Kind(), g.connector.Kind()}}
}

// startRoutes prepares the routes, before there is anybody to use them.
func (g *Gateway) startRoutes(c *Config) (err error) {
	o := spawn.DefaultOptions()
	o.MaxProcesses, o.Log = c.Routing.MaxProcesses, g.log
	if g.spawner, err = spawn.New(o); err != nil {
		return err
	}
	g.connector = connect.New(connect.Options{Broker: g.broker, Dialer: &reach.Dialer{}, Directory: g.directory(c), Log: g.log})
	if err := g.builtin.AddRoutes(); err != nil {
		return err
	}
	if c.Routing.Default {
		if err := g.builtin.AddDefaultRoutes(); err != nil {
			return err
		}
	}
	apply, err := g.reloadRoutes(c)
	if err == nil {
		apply()
	}
	return err
}

// locate tells commands where the gateway is.
func (g *Gateway) locate(*Config) error {
	bound := g.Addresses()
	first := func(addresses []string) string {
		if len(addresses) == 0 {
			return ""
		}
		return zmqbridge.Reachable(addresses[0])
	}
	g.spawner.SetAddresses(spawn.Addresses{
		ZMQServer: first(bound.ZMQServer), ZMQRouter: first(bound.ZMQRouter), GRPC: reachable(bound.GRPC),
	})
	return nil
}
