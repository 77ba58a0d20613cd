package operate

import (
	"fmt"

	"github.com/zioflow/gateway/cli/console"
	"github.com/zioflow/gateway/cli/tables"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

type watchCommand struct {
	doFlags  `embed:""`
	allNodes `embed:""`
	Filter   string   `env:"-" short:"f" help:"Only flows for which this CEL expression is true." placeholder:"CEL"`
	State    []string `env:"-" short:"s" enum:"pending,active,half_closed,ended" help:"Only flows that enter one of these states: ${enum}." placeholder:"STATE"`
}

// Run prints a line for every flow that enters a state, until it is stopped.
func (w *watchCommand) Run(c *console.Console) error {
	return w.do(c, func(c call) error {
		request := &gatewayv1.WatchFlowsRequest{Filter: w.Filter, Node: w.Node}
		if len(w.State) > 0 {
			request.States = (&selectFlags{State: w.State}).states()
		}
		c.console.Note("watching %s; Ctrl-C ends it\n", c.Address)
		for event, err := range c.Watch(c.context, request) {
			switch {
			case c.context.Err() != nil:
				return nil // that is how watching ends
			case err != nil:
				return c.Explain(err)
			}
			text := tables.Event(event)
			if w.JSON {
				if text, err = tables.JSON(event, true); err != nil {
					return err
				}
			}
			if err := c.console.Print(text); err != nil {
				return fmt.Errorf("watching: %w", err)
			}
		}
		return nil
	})
}
