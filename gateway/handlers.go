package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/builtin"
	"github.com/zioflow/gateway/broker/connect"
	"github.com/zioflow/gateway/broker/routes"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/spawn"
	"github.com/zioflow/gateway/gateway/config"
	"github.com/zioflow/gateway/zmqbridge"
	"github.com/zioflow/gateway/zmqbridge/reach"
)

// handlers are the kinds of factories that a gateway has, and the routes to them.
type handlers struct {
	broker  *broker.Broker
	builtin *builtin.Handlers
	spawner *spawn.Spawner
	maker   routes.Maker // for every kind
}

// newHandlers makes every kind ready. The directory finds nodes by name; nil for none.
func newHandlers(b *broker.Broker, c *config.Config, directory connect.Directory, log *slog.Logger) (*handlers, error) {
	o := spawn.DefaultOptions()
	o.MaxProcesses, o.Log = c.Routing.MaxProcesses, log
	spawner, err := spawn.New(o)
	if err != nil {
		return nil, err
	}
	h := &handlers{broker: b, builtin: builtin.New(b, log), spawner: spawner}
	connector := connect.New(connect.Options{Broker: b, Dialer: &reach.Dialer{}, Directory: directory, Log: log})
	h.maker = routes.Maker{Kinds: routes.Kinds{h.builtin.Kind(), routes.Listener(), spawner.Kind(), connector.Kind()}}
	return h, nil
}

// start adds the routes, before there is anybody to use them.
func (h *handlers) start(c *config.Config) error {
	if err := h.builtin.AddRoutes(); err != nil {
		return err
	}
	if c.Routing.Default {
		if err := h.builtin.AddDefaultRoutes(); err != nil {
			return err
		}
	}
	apply, err := h.prepare(c)
	if err == nil {
		apply()
	}
	return err
}

// prepare checks the routes of another configuration and returns what puts them to use. It
// is a reload.Part.
func (h *handlers) prepare(next *config.Config) (apply func() []string, err error) {
	made, err := h.make(next)
	if err != nil {
		return nil, err
	}
	if next.Routing.MaxProcesses < 1 {
		return nil, fmt.Errorf("max-processes is %d, want more than 0", next.Routing.MaxProcesses)
	}
	return func() []string {
		before := h.configured()
		_ = h.broker.SetRoutes(made)                             // they were checked
		_ = h.spawner.SetMaxProcesses(next.Routing.MaxProcesses) // likewise
		return routeChanges(before, h.configured())
	}, nil
}

// make makes the routes of a configuration, checked as SetRoutes does. The error is one
// for each route that is wrong.
func (h *handlers) make(c *config.Config) ([]routing.Route, error) {
	made := make([]routing.Route, len(c.Routing.Routes))
	var wrong []error
	for i, spec := range c.Routing.Routes {
		var err error
		if made[i], err = h.maker.Make(context.Background(), spec); err != nil {
			wrong = append(wrong, fmt.Errorf("routes[%d].%w", i, err))
		}
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	if err := h.broker.CheckRoutes(made); err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	return made, nil
}

// configured are the routes that a configuration has set.
func (h *handlers) configured() (specs []routes.Spec) {
	for _, r := range h.broker.Routes() {
		if r.Origin == routing.Configured {
			specs = append(specs, h.maker.SpecOf(r.Route))
		}
	}
	return specs
}

// locate tells commands where the gateway is.
func (h *handlers) locate(bound Addresses) {
	h.spawner.SetAddresses(spawn.Addresses{
		ZMQServer: zmqbridge.Reachable(first(bound.ZMQServer)), ZMQRouter: zmqbridge.Reachable(first(bound.ZMQRouter)), GRPC: reachable(bound.GRPC),
	})
}

// close waits for what works for flows, while ctx lasts. The broker has been closed.
func (h *handlers) close(ctx context.Context) error {
	var closing errgroup.Group
	for _, kind := range h.maker.Kinds {
		if kind.Close != nil {
			closing.Go(func() error { return kind.Close(ctx) })
		}
	}
	return closing.Wait()
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
