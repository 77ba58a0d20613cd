package operate

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/zioflow/gateway/cli/console"
	"github.com/zioflow/gateway/cli/exit"
	"github.com/zioflow/gateway/cli/tables"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// someNodes says at which nodes of a cluster something is done.
type someNodes struct {
	ownNode  `embed:""`
	AllNodes bool `env:"-" help:"At all nodes of the cluster, one after the other."`
}

// Validate is called by kong.
func (s *someNodes) Validate() error {
	if s.AllNodes && s.Node != "" {
		return errors.New("--node is for one node, --all-nodes for all: say one of the two")
	}
	return nil
}

// each has something done at each node that is meant, and says what came of it: the message, or
// the words that do returns, with the node before every line if there are several. Where it
// fails at one of several, the others are asked all the same.
func (s *someNodes) each(c call, f *doFlags, do func(node string) (m proto.Message, words string, err error)) error {
	if !s.AllNodes {
		m, words, err := do(s.Node)
		if err != nil {
			return err
		}
		return f.say(c, m, words)
	}
	status, err := ask(c, &gatewayv1.GetStatusRequest{}, c.GetStatus)
	if err != nil {
		return err
	}
	nodes := status.GetCluster().GetNodes()
	if len(nodes) == 0 {
		return exit.Errorf(exit.NotFound, "the gateway is in no cluster: it has no nodes")
	}
	failed := exit.Done
	number := 0
	for _, n := range nodes {
		m, words, err := do(n.GetId())
		switch {
		case c.context.Err() != nil:
			return console.Interruption(c.context)
		case err != nil:
			failed, number = exit.Of(err), number+1
			c.console.Warn(fmt.Sprintf("%s: %v\n", tables.Printable(n.GetName()), err))
			continue
		}
		if err := f.say(c, m, prefixed(tables.Printable(n.GetName())+": ", words)); err != nil {
			return err
		}
	}
	if number > 0 {
		return exit.Errorf(failed, "it failed at %d of %s", number, plural(len(nodes), "node"))
	}
	return nil
}

// prefixed puts a prefix before every line.
func prefixed(prefix, words string) string {
	return prefix + strings.ReplaceAll(words, "\n", "\n"+prefix)
}

type reloadCommand struct {
	doFlags   `embed:""`
	someNodes `embed:""`
}

// Run has gateways read their configuration again, and says what has changed.
func (r *reloadCommand) Run(c *console.Console) error {
	return r.do(c, func(c call) error {
		return r.each(c, &r.doFlags, func(node string) (proto.Message, string, error) {
			response, err := ask(c, &gatewayv1.ReloadRequest{Node: node}, c.Reload)
			if code := exit.Of(err); code == exit.Refused {
				err = exit.With(code, fmt.Errorf("%w; the configuration in force is the one before", err))
			}
			return response, reloaded(response), err
		})
	})
}

// reloaded says what a reload has changed, a line each.
func reloaded(r *gatewayv1.ReloadResponse) string {
	var lines []string
	for _, line := range r.GetChanges() {
		lines = append(lines, tables.Printable(line))
	}
	for _, line := range r.GetNeedRestart() {
		lines = append(lines, tables.Paint("needs a restart: ", tables.Odd)+tables.Printable(line))
	}
	if len(lines) == 0 {
		return "nothing has changed"
	}
	return strings.Join(lines, "\n")
}

type logLevelCommand struct {
	doFlags   `embed:""`
	someNodes `embed:""`
	Level     string `arg:"" optional:"" enum:",debug,info,warn,error" default:"" help:"debug, info, warn or error; without it, the present one is shown."`
}

// Run changes what is logged, or shows the level.
func (l *logLevelCommand) Run(c *console.Console) error {
	return l.do(c, func(c call) error {
		return l.each(c, &l.doFlags, func(node string) (proto.Message, string, error) {
			if l.Level == "" {
				s, err := ask(c, &gatewayv1.GetStatusRequest{Node: node}, c.GetStatus)
				return s, tables.Printable(s.GetLogLevel()), err
			}
			r, err := ask(c, &gatewayv1.SetLogLevelRequest{Level: l.Level, Node: node}, c.SetLogLevel)
			return r, fmt.Sprintf("the log level is %s, it was %s; the next reload or restart has the configured one again",
				l.Level, tables.Printable(r.GetPrevious())), err
		})
	})
}
