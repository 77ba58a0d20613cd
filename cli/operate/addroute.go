package operate

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/zioflow/gateway/cli/console"
	"github.com/zioflow/gateway/cli/exit"
	"github.com/zioflow/gateway/cli/tables"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/wholefile"
)

// maxRules bounds the text of a ruleset, in bytes, as the contract does.
const maxRules = 64 << 10

// addRoute adds a route for flows that begin from now on.
type addRoute struct {
	doFlags `embed:""`
	ownNode `embed:""`

	Match     string `env:"-" help:"Which flows take it: a CEL expression over attributes, direction (the handler's), credit and peer. Without it and --rules, all." placeholder:"EXPRESSION"`
	Rules     string `env:"-" help:"Which flows take it: a file with a ruleset of ZIO's, in JSON or Jsonnet." placeholder:"FILE"`
	Priority  int32  `env:"-" help:"Routes of a higher one are tried first, those of the same one in their order." placeholder:"N"`
	MaxCredit int64  `env:"-" help:"Lower the credit of its flows to this; 0 for no further than the gateway does." placeholder:"N"`

	Builtin      string        `env:"-" enum:",dump,generate" default:"" help:"Its handler is in the gateway: dump or generate." group:"Where its flows go"`
	Listener     string        `env:"-" help:"Its handlers are the listeners of this name." placeholder:"NAME" group:"Where its flows go"`
	Connect      string        `env:"-" help:"Its handler is a ZeroMQ SERVER at this address." placeholder:"ADDRESS" group:"Where its flows go"`
	ConnectNode  string        `env:"-" help:"Its handler is at a port of the node that discovery has found under this name; with --connect-port." placeholder:"NAME" group:"Where its flows go"`
	ConnectPort  string        `env:"-" help:"The port's name, such as flow." placeholder:"NAME" group:"Where its flows go"`
	ServerKey    string        `env:"-" help:"Public CURVE key of the handler of --connect or --connect-node." placeholder:"KEY" group:"Where its flows go"`
	MaxFlows     uint32        `env:"-" help:"How many flows it may have at once; 0 for any number." placeholder:"N" group:"Where its flows go"`
	MaxProcesses uint32        `env:"-" help:"How many of the command may run at once; 0 for as many as the gateway lets." placeholder:"N" group:"Where its flows go"`
	MaxTime      time.Duration `env:"-" help:"How long one may run; 0s for any time." group:"Where its flows go"`

	Name    string   `arg:"" help:"How operators call it."`
	Command []string `arg:"" optional:"" help:"A command that the gateway starts for each flow, behind --, if it lets operators do so (--allow-exec-routes)."`
}

// Run adds the route.
func (a *addRoute) Run(c *console.Console) error {
	route, err := a.route()
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	return a.do(c, func(c call) error {
		r, err := ask(c, &gatewayv1.AddRouteRequest{Route: route, Node: a.Node}, c.AddRoute)
		if err != nil {
			return err
		}
		return a.say(c, r, "added route "+tables.Route(r.GetRoute().GetRoute())+a.at()+"; it is gone after a restart")
	})
}

// route is the one that the options describe.
func (a *addRoute) route() (*gatewayv1.Route, error) {
	r := &gatewayv1.Route{Name: a.Name, Match: a.Match, Priority: a.Priority, MaxCredit: a.MaxCredit}
	if a.Rules != "" {
		if a.Match != "" {
			return nil, errors.New("--match and --rules both say which flows take it: give one of them")
		}
		var err error
		if r.Rules, err = rulesOf(a.Rules); err != nil {
			return nil, err
		}
	}
	ways := 0
	for _, given := range []bool{a.Builtin != "", a.Listener != "", a.Connect != "", a.ConnectNode != "", len(a.Command) > 0} {
		if given {
			ways++
		}
	}
	connects := a.Connect != "" || a.ConnectNode != ""
	switch {
	case ways != 1:
		return nil, errors.New("where do its flows go? Give one of --builtin, --listener, --connect, --connect-node with --connect-port, and a command behind --")
	case (a.ConnectNode == "") != (a.ConnectPort == ""):
		return nil, errors.New("--connect-node and --connect-port need each other")
	case !connects && (a.ServerKey != "" || a.MaxFlows > 0):
		return nil, errors.New("--server-key and --max-flows are for --connect and --connect-node")
	case len(a.Command) == 0 && (a.MaxProcesses > 0 || a.MaxTime != 0):
		return nil, errors.New("--max-processes and --max-time are for commands")
	}
	a.lead(r)
	return r, nil
}

// lead has the route lead where the options say.
func (a *addRoute) lead(r *gatewayv1.Route) {
	switch {
	case a.Builtin != "":
		r.Factory = &gatewayv1.Route_Builtin{Builtin: &gatewayv1.BuiltinFactory{Name: a.Builtin}}
	case a.Listener != "":
		r.Factory = &gatewayv1.Route_Listener{Listener: &gatewayv1.ListenerFactory{Name: a.Listener}}
	case len(a.Command) > 0:
		command := &gatewayv1.ExecFactory{Command: a.Command, MaxProcesses: a.MaxProcesses}
		if a.MaxTime != 0 {
			command.MaxTime = durationpb.New(a.MaxTime)
		}
		r.Factory = &gatewayv1.Route_Exec{Exec: command}
	default:
		r.Factory = &gatewayv1.Route_Connect{Connect: &gatewayv1.ConnectFactory{
			Address: a.Connect, Node: a.ConnectNode, Port: a.ConnectPort, ServerKey: a.ServerKey, MaxFlows: a.MaxFlows,
		}}
	}
}

// rulesOf is the text of a ruleset.
func rulesOf(path string) (string, error) {
	text, err := wholefile.Read(path, maxRules)
	if err == nil && len(text) == 0 {
		err = errors.New("is empty")
	}
	if err != nil {
		return "", fmt.Errorf("--rules: %s: %w", path, wholefile.Cause(err))
	}
	return string(text), nil
}

// removeRoute removes routes.
type removeRoute struct {
	doFlags `embed:""`
	ownNode `embed:""`
	Names   []string `arg:"" name:"name" help:"Their names, as gateway routes shows them."`
}

// Run removes one route after the other.
func (r *removeRoute) Run(c *console.Console) error {
	return r.do(c, func(c call) error {
		for i, name := range r.Names {
			if slices.Contains(r.Names[:i], name) {
				continue
			}
			removed, err := ask(c, &gatewayv1.RemoveRouteRequest{Name: name, Node: r.Node}, c.RemoveRoute)
			if err != nil {
				return concerning("route "+tables.Printable(name), err)
			}
			words := "removed route " + tables.Route(removed.GetRoute().GetRoute()) + r.at()
			if flows := removed.GetRoute().GetFlows(); flows > 0 {
				words += "; " + plural(int(flows), "flow") + " of it go on" //nolint:gosec // far below 2⁶³
			}
			if err := r.say(c, removed, words); err != nil {
				return err
			}
		}
		return nil
	})
}
