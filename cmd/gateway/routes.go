package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/alecthomas/kong"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/connect"
	"github.com/zioflow/gateway/broker/routes"
	"github.com/zioflow/gateway/broker/spawn"
	"github.com/zioflow/gateway/zmqbridge"
	"github.com/zioflow/gateway/zmqbridge/reach"
)

// routeFlags are the options that concern routes.
type routeFlags struct {
	Routes          routeList `hidden:"" env:"-" reload:""`
	MaxProcesses    int       `default:"${max_processes}" help:"How many commands of exec routes may run at once." reload:""`
	AllowExecRoutes bool      `help:"Let operators add routes that start commands: whoever may call AddRoute can then run any program here."`
}

// routeList is the configuration file's list of routes, read but not made yet.
type routeList struct{ specs []routes.Spec }

// routesSection is the value of the key `routes` in a configuration file.
type routesSection struct {
	value any
	// folder is the file's, from which a rules_file is looked for.
	folder string
}

// Decode implements kong.MapperValue. Only a configuration file has routes.
func (l *routeList) Decode(ctx *kong.DecodeContext) (err error) {
	section, ok := ctx.Scan.Pop().Value.(routesSection)
	if !ok {
		return errors.New("routes can be set in the configuration file only")
	}
	l.specs, err = readRoutes(section.value, section.folder)
	return err
}

// String leaves it to reloadRoutes to tell what has changed: that may be in a
// rules_file.
func (l routeList) String() string { return "" }

// readRoutes reads a decoded list of routes. A rules_file is relative to the
// folder. An error names the field: "routes[2].exec.max_time: …".
func readRoutes(value any, folder string) ([]routes.Spec, error) {
	if value == nil {
		return nil, nil
	}
	items, ok := value.([]any)
	if !ok {
		return nil, errors.New("routes: want a list")
	}
	specs := make([]routes.Spec, len(items))
	for i, item := range items {
		var err error
		if specs[i], err = readRoute(newFields(fmt.Sprintf("routes[%d]", i), item), folder); err != nil {
			return nil, err
		}
	}
	return specs, nil
}

func readRoute(f *fields, folder string) (routes.Spec, error) {
	s := routes.Spec{
		Name: f.text("name"), Match: f.text("match"), Rules: f.rules("rules"), RulesFile: f.text("rules_file"),
		Priority: int32(f.integer("priority", -1<<31, 1<<31-1)), MaxCredit: f.integer("max_credit", 0, 1<<53),
	}
	if s.RulesFile != "" && !filepath.IsAbs(s.RulesFile) {
		s.RulesFile = filepath.Join(folder, s.RulesFile)
	}
	if builtin := f.section("builtin"); builtin != nil {
		s.Builtin = builtin.required("name")
		f.fail(builtin.done())
	}
	if listener := f.section("listener"); listener != nil {
		s.Listener = listener.required("name")
		f.fail(listener.done())
	}
	if exec := f.section("exec"); exec != nil {
		s.Exec = &spawn.Command{
			Arguments:    exec.texts("command"),
			MaxProcesses: int(exec.integer("max_processes", 0, 1<<31-1)),
			MaxTime:      exec.duration("max_time"),
		}
		f.fail(exec.done())
	}
	if c := f.section("connect"); c != nil {
		s.Connect = &connect.Target{
			Address: c.text("address"), Node: c.text("node"), Port: c.text("port"), ServerKey: c.text("server_key"),
			MaxFlows: int(c.integer("max_flows", 0, 1<<31-1)),
		}
		f.fail(c.done())
	}
	return s, f.done()
}

// makeRoutes makes the routes of a configuration, checked as SetRoutes does.
func (g *gateway) makeRoutes(c *serveCommand) ([]broker.Route, error) {
	made := make([]broker.Route, len(c.Routes.specs))
	for i, spec := range c.Routes.specs {
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

// reloadRoutes checks the routes of another configuration and answers what puts
// them to use.
func (g *gateway) reloadRoutes(next *serveCommand) (apply func() []string, err error) {
	made, err := g.makeRoutes(next)
	if err != nil {
		return nil, err
	}
	if next.MaxProcesses < 1 {
		return nil, fmt.Errorf("max-processes is %d, want more than 0", next.MaxProcesses)
	}
	return func() []string {
		before := g.configuredRoutes()
		_ = g.broker.SetRoutes(made)                     // they were checked
		_ = g.spawner.SetMaxProcesses(next.MaxProcesses) // likewise
		return routeChanges(before, g.configuredRoutes())
	}, nil
}

func (g *gateway) configuredRoutes() (specs []routes.Spec) {
	for _, r := range g.broker.Routes() {
		if r.Origin == broker.Configured {
			specs = append(specs, routes.SpecOf(r.Route))
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

func (g *gateway) routeMaker() routes.Maker {
	return routes.Maker{Builtin: g.builtin, Spawner: g.spawner, Connector: g.connector}
}

// startRoutes prepares the routes, before there is anybody to use them.
func (g *gateway) startRoutes(c *serveCommand) (err error) {
	o := spawn.DefaultOptions()
	o.MaxProcesses, o.Log = c.MaxProcesses, g.log
	if g.spawner, err = spawn.New(o); err != nil {
		return err
	}
	g.connector = connect.New(connect.Options{Broker: g.broker, Dialer: &reach.Dialer{}, Directory: g.directory(c), Log: g.log})
	if err := g.builtin.AddRoutes(); err != nil {
		return err
	}
	if c.DefaultRoutes {
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
func (g *gateway) locate(*serveCommand) error {
	first := func(addresses []string) string {
		if len(addresses) == 0 {
			return ""
		}
		return zmqbridge.Reachable(addresses[0])
	}
	g.spawner.SetAddresses(spawn.Addresses{
		ZMQServer: first(g.bound.ZMQServer), ZMQRouter: first(g.bound.ZMQRouter), GRPC: reachable(g.bound.GRPC),
	})
	return nil
}

// reachable is a bound HOST:PORT as a peer on this machine would write it: one
// that stands for all interfaces is the loopback's.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil || !ip.IsUnspecified():
		return address
	case ip.Is4():
		host = "127.0.0.1"
	default:
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
