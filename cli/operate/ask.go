package operate

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/zioflow/gateway/cli/console"
	"github.com/zioflow/gateway/cli/remote"
	"github.com/zioflow/gateway/cli/tables"
)

// doFlags are those of a command that changes something.
type doFlags struct {
	remote.Flags `embed:""`

	JSON bool `name:"json" env:"-" help:"Print the gateway's own messages as JSON, each on a line."`
}

// call is a gateway and the one who commands.
type call struct {
	*remote.Gateway
	console *console.Console
	context context.Context
}

// say is what came of it: the gateway's message, or a line of words.
func (f *doFlags) say(c call, m proto.Message, words string) error {
	if f.JSON {
		return printJSON(c, m)
	}
	return c.console.Print(words + "\n")
}

// do dials, does and hangs up.
func (f *doFlags) do(c *console.Console, what func(call) error) error {
	return dialled(&f.Flags, c, what)
}

// dialled dials, has something done until a signal comes, and hangs up.
func dialled(f *remote.Flags, c *console.Console, what func(call) error) error {
	g, err := f.Dial()
	if err != nil {
		return err
	}
	defer g.Close()
	ctx, stop := c.Context()
	defer stop()
	return what(call{g, c, ctx})
}

// ask makes one call. Its error is in words, or that of a signal which came meanwhile.
func ask[Q, R any](c call, request Q, method func(context.Context, Q, ...callOption) (R, error)) (R, error) {
	ctx, cancel := c.Limited(c.context)
	defer cancel()
	response, err := method(ctx, request)
	if err != nil && c.context.Err() != nil {
		return response, console.Interruption(c.context)
	}
	return response, c.Explain(err)
}

// confirmFlags are those of a command that asks first.
type confirmFlags struct {
	Yes    bool   `env:"-" short:"y" help:"Do not ask."`
	Detail string `env:"-" short:"m" help:"Why, in words that both sides of the flow will see." placeholder:"TEXT"`
}

// confirm shows what it is about, and asks.
func (f *confirmFlags) confirm(c call, about *tables.Table, question string) error {
	if f.Yes {
		return nil
	}
	c.console.Note("%s", about.Render(c.console.Width()))
	return c.console.Confirm(c.context, question)
}
