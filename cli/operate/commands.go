// Package operate is the commands with which operators see and steer a running gateway:
// each asks its AdminService, and shows what it is told as a table or as JSON.
package operate

import (
	"context"
	"iter"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/zioflow/gateway/cli/console"
	"github.com/zioflow/gateway/cli/exit"
	"github.com/zioflow/gateway/cli/remote"
	"github.com/zioflow/gateway/cli/tables"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// Commands are the operator's part of the command line.
type Commands struct {
	Status    statusCommand    `cmd:"" group:"Operators" help:"Sum a gateway up: what it serves, how full it is."`
	Flows     flowsCommand     `cmd:"" group:"Operators" help:"List flows: those that have not ended, unless told otherwise."`
	Flow      flowCommand      `cmd:"" group:"Operators" help:"Show all about one flow."`
	Peers     peersCommand     `cmd:"" group:"Operators" help:"List who is connected, in a flow or not."`
	Nodes     nodesCommand     `cmd:"" group:"Operators" help:"List the nodes of the cluster, and those that discovery has found."`
	Listeners listenersCommand `cmd:"" group:"Operators" help:"List the programs that have announced that they handle flows."`
	Routes    routesCommand    `cmd:"" group:"Operators" help:"List the routes in the order in which they are tried; add, remove or try some."`
	Top       topCommand       `cmd:"" group:"Operators" help:"Show flows as they go on: rates, credit, who holds them up."`
	Watch     watchCommand     `cmd:"" group:"Operators" help:"Print a line for every flow that begins, changes its state or ends."`

	End        endCommand        `cmd:"" group:"Operators" help:"End flows, by their numbers or by a filter. It asks first."`
	Disconnect disconnectCommand `cmd:"" group:"Operators" help:"End peers' connections and their flows. It asks first."`
	Drain      drainCommand      `cmd:"" group:"Operators" help:"Have the gateway refuse new flows; those there are go on."`
	Undrain    undrainCommand    `cmd:"" group:"Operators" help:"Have it take new flows again."`
	Reload     reloadCommand     `cmd:"" group:"Operators" help:"Have it read its configuration, keys and tokens again, all or nothing."`
	LogLevel   logLevelCommand   `cmd:"" group:"Operators" help:"Show the log level, or change it."`

	Context contextCommand `cmd:"" group:"Operators" help:"Keep gateways by their names."`
}

// showFlags say how something is shown.
type showFlags struct {
	remote.Flags `embed:""`

	JSON     bool          `name:"json" env:"-" help:"Print the gateway's own message as JSON. With --watch, each on a line."`
	Watch    bool          `env:"-" help:"Show it anew again and again, until Ctrl-C."`
	Interval time.Duration `env:"-" default:"2s" help:"How often, with --watch."`
}

// picture is what is shown: as tables, or as the message.
type picture struct {
	message proto.Message
	tables  []*tables.Table
	silent  []*gatewayv1.Unreachable // nodes of a cluster that have not answered
}

// allNodes says of which nodes of a cluster.
type allNodes struct {
	Node string `env:"-" help:"Only what is at this node of the cluster: its name or id." placeholder:"NODE"`
}

// ownNode says at which node of a cluster.
type ownNode struct {
	Node string `env:"-" help:"At this node of the cluster: its name or id. Without, at the gateway that is asked." placeholder:"NODE"`
}

// look asks the gateway for a picture of what it has at that time.
type look func(ctx context.Context, g *remote.Gateway, now time.Time) (*picture, error)

// Validate is called by kong.
func (f *showFlags) Validate() error {
	if f.Interval < minInterval {
		return exit.Errorf(exit.Usage, "--interval is %v, want %v at least", f.Interval, minInterval)
	}
	return nil
}

// minInterval bounds what watching costs a gateway.
const minInterval = 100 * time.Millisecond

// show shows what look returns, once or until the console's context ends. A gateway that
// goes away while somebody watches on a terminal is waited for.
func (f *showFlags) show(c *console.Console, look look) error {
	return dialled(&f.Flags, c, func(to call) error {
		text := func() (string, error) { return f.text(to.context, c, to.Gateway, look) }
		if f.Watch {
			return f.watch(to.context, c, text)
		}
		shown, err := text()
		if err != nil {
			return err
		}
		return c.Print(shown)
	})
}

func (f *showFlags) watch(ctx context.Context, c *console.Console, text func() (string, error)) error {
	screen := c.Screen()
	defer screen.Close()
	tick := time.NewTicker(f.Interval)
	defer tick.Stop()
	for shown := 0; ; shown++ {
		picture, err := text()
		switch {
		case ctx.Err() != nil:
			return nil // that is how watching ends
		case err != nil && (shown == 0 || !c.Terminal()):
			return err
		case err != nil:
			picture = tables.Paint(tables.Printable(err.Error()), tables.Bad) + "\n"
		}
		if err := screen.Draw(picture); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// text is what is to be shown now.
func (f *showFlags) text(ctx context.Context, c *console.Console, g *remote.Gateway, look look) (string, error) {
	call, cancel := g.Limited(ctx)
	defer cancel()
	p, err := look(call, g, time.Now())
	if err != nil {
		if ctx.Err() != nil {
			return "", console.Interruption(ctx)
		}
		return "", g.Explain(err)
	}
	silent := tables.Unreachable(p.silent)
	if !f.Watch || f.JSON {
		c.Warn(silent)
	}
	if f.JSON {
		return tables.JSON(p.message, f.Watch)
	}
	text := ""
	for _, t := range p.tables {
		text += t.Render(c.Width())
	}
	if f.Watch {
		text += tables.Paint(silent, tables.Bad)
	}
	return text, nil
}

// all collects a list.
func all[T any](entries iter.Seq2[T, error]) ([]T, error) {
	var list []T
	for entry, err := range entries {
		if err != nil {
			return nil, err
		}
		list = append(list, entry)
	}
	return list, nil
}

type statusCommand struct {
	showFlags `embed:""`
	ownNode   `embed:""`
}

// Run shows the gateway as a whole.
func (s *statusCommand) Run(c *console.Console) error {
	return s.show(c, func(ctx context.Context, g *remote.Gateway, now time.Time) (*picture, error) {
		status, err := g.GetStatus(ctx, &gatewayv1.GetStatusRequest{Node: s.Node})
		if err != nil {
			return nil, err
		}
		return &picture{message: status, tables: []*tables.Table{tables.Status(status, g.Address, now)}}, nil
	})
}

type peersCommand struct {
	showFlags `embed:""`
	allNodes  `embed:""`
	Transport string `env:"-" help:"Only those of one: ${enum}." enum:",zmq-server,zmq-router,grpc,builtin,zmq-client" default:""`
}

// Run lists who is connected.
func (p *peersCommand) Run(c *console.Console) error {
	return p.show(c, func(ctx context.Context, g *remote.Gateway, now time.Time) (*picture, error) {
		list := &gatewayv1.ListPeersResponse{}
		for page, err := range g.PeerPages(ctx, &gatewayv1.ListPeersRequest{Transport: p.Transport, Node: p.Node}) {
			if err != nil {
				return nil, err
			}
			list.Peers, list.Unreachable = append(list.Peers, page.GetPeers()...), append(list.Unreachable, page.GetUnreachable()...)
		}
		return &picture{list, []*tables.Table{tables.Peers(list.GetPeers(), now)}, list.GetUnreachable()}, nil
	})
}

type nodesCommand struct {
	showFlags `embed:""`
	Name      string `env:"-" help:"Only those of this name." placeholder:"NAME"`
}

// Run lists the cluster, and what discovery has found.
func (n *nodesCommand) Run(c *console.Console) error {
	return n.show(c, func(ctx context.Context, g *remote.Gateway, now time.Time) (*picture, error) {
		list := &gatewayv1.ListNodesResponse{}
		for token := ""; ; {
			page, err := g.ListNodes(ctx, &gatewayv1.ListNodesRequest{Name: n.Name, PageSize: 1000, PageToken: token})
			if err != nil {
				return nil, err
			}
			if token == "" {
				list.Cluster = page.GetCluster()
			}
			list.Nodes = append(list.Nodes, page.GetNodes()...)
			if token = page.GetNextPageToken(); token == "" {
				break
			}
		}
		p := &picture{message: list, tables: []*tables.Table{tables.Nodes(list.GetNodes(), now)}}
		if c := list.GetCluster(); c != nil {
			if n.Name != "" {
				c.Nodes = slices.DeleteFunc(c.GetNodes(), func(one *gatewayv1.ClusterNode) bool { return one.GetName() != n.Name })
			}
			p.tables = []*tables.Table{tables.Cluster(c, now)}
			if len(list.GetNodes()) > 0 {
				found := tables.Nodes(list.GetNodes(), now)
				found.Title = "found by discovery"
				p.tables = append(p.tables, found)
			}
		}
		return p, nil
	})
}

type listenersCommand struct {
	showFlags `embed:""`
	allNodes  `embed:""`
}

// Run lists the listeners.
func (l *listenersCommand) Run(c *console.Console) error {
	return l.show(c, func(ctx context.Context, g *remote.Gateway, now time.Time) (*picture, error) {
		list := &gatewayv1.ListListenersResponse{}
		for page, err := range g.ListenerPages(ctx, &gatewayv1.ListListenersRequest{Node: l.Node}) {
			if err != nil {
				return nil, err
			}
			list.Listeners, list.Unreachable = append(list.Listeners, page.GetListeners()...), page.GetUnreachable()
		}
		return &picture{list, []*tables.Table{tables.Listeners(list.GetListeners(), now)}, list.GetUnreachable()}, nil
	})
}
