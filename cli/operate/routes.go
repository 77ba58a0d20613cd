package operate

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/zioflow/gateway/cli/console"
	"github.com/zioflow/gateway/cli/exit"
	"github.com/zioflow/gateway/cli/remote"
	"github.com/zioflow/gateway/cli/tables"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// routesCommand is the list, and what else there is to do with routes.
type routesCommand struct {
	List   listRoutes  `cmd:"" default:"withargs" help:"List the routes in the order in which they are tried."`
	Test   testRoute   `cmd:"" help:"Say which route a flow would take, and why not the others. It opens none."`
	Add    addRoute    `cmd:"" help:"Add a route for flows that begin from now on, behind those of its priority."`
	Remove removeRoute `cmd:"" help:"Remove routes. Their flows go on."`
}

type listRoutes struct {
	showFlags `embed:""`
	Node      string `env:"-" help:"As this node of the cluster tries them: its name or id. Without, as the gateway that is asked." placeholder:"NODE"`
}

// Run lists the routes.
func (r *listRoutes) Run(c *console.Console) error {
	return r.show(c, func(ctx context.Context, g *remote.Gateway, _ time.Time) (*picture, error) {
		routes, err := all(g.RoutesAt(ctx, r.Node))
		if err != nil {
			return nil, err
		}
		return &picture{message: &gatewayv1.ListRoutesResponse{Routes: routes}, tables: []*tables.Table{tables.Routes(routes)}}, nil
	})
}

type testRoute struct {
	remote.Flags  `embed:""`
	ownNode       `embed:""`
	JSON          bool     `name:"json" env:"-" help:"Print the gateway's own message as JSON."`
	Direction     string   `env:"-" enum:"extract,inject" default:"extract" help:"The client's: ${enum}. With extract it gives, with inject it takes."`
	Credit        int64    `env:"-" default:"10" help:"What it offers."`
	PeerTransport string   `env:"-" help:"How the client would be connected." enum:",zmq-server,zmq-router,grpc" default:""`
	PeerAddress   string   `env:"-" help:"From where." placeholder:"ADDRESS"`
	PeerIdentity  string   `env:"-" help:"What it calls itself." placeholder:"IDENTITY"`
	PeerName      string   `env:"-" help:"As whom the gateway knows it." placeholder:"NAME"`
	Attributes    []string `arg:"" optional:"" help:"Attributes of the flow, as NAME=VALUE. A VALUE that is JSON is taken as such."`
}

// Run explains which route a flow would take; none is NotFound.
func (t *testRoute) Run(c *console.Console) error {
	attributes, err := parseAttributes(t.Attributes)
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	direction := gatewayv1.Direction_DIRECTION_EXTRACT
	if t.Direction == "inject" {
		direction = gatewayv1.Direction_DIRECTION_INJECT
	}
	request := &gatewayv1.TestRouteRequest{
		Bot:  &gatewayv1.Bot{Direction: direction, Credit: t.Credit, Attributes: attributes},
		Peer: &gatewayv1.Peer{Transport: t.PeerTransport, Address: t.PeerAddress, Identity: t.PeerIdentity, Name: t.PeerName},
		Node: t.Node,
	}
	takes := false
	show := showFlags{Flags: t.Flags, JSON: t.JSON}
	err = show.show(c, func(ctx context.Context, g *remote.Gateway, _ time.Time) (*picture, error) {
		r, err := g.TestRoute(ctx, request)
		takes = r.GetRoute() != ""
		return &picture{message: r, tables: []*tables.Table{tables.Verdicts(r.GetVerdicts())}}, err
	})
	if err == nil && !takes {
		return exit.Errorf(exit.NotFound, "no route takes it")
	}
	return err
}

// parseAttributes reads NAME=VALUE words.
func parseAttributes(words []string) (*structpb.Struct, error) {
	attributes := map[string]any{}
	for _, word := range words {
		name, text, found := strings.Cut(word, "=")
		if !found || name == "" {
			return nil, exit.Errorf(exit.Usage, "attribute %q is not of the form NAME=VALUE", word)
		}
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			value = text
		}
		attributes[name] = value
	}
	return structpb.NewStruct(attributes)
}
