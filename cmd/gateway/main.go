// Command gateway is a flow broker for ZIO, reached over ZeroMQ and gRPC.
package main

import (
	"os"

	"github.com/alecthomas/kong"

	"github.com/zioflow/gateway/cli/console"
	"github.com/zioflow/gateway/cli/exit"
	"github.com/zioflow/gateway/cli/manual"
	"github.com/zioflow/gateway/cli/operate"
	"github.com/zioflow/gateway/cli/transfer"
)

// cli is the command line.
type cli struct {
	Release kong.VersionFlag `name:"version" help:"Print the version and end." env:"-"`

	Config kong.ConfigFlag `help:"Read options from this YAML file; its keys are the flags' names." placeholder:"FILE" env:"-"`

	Serve serveCommand `cmd:"" help:"Run the gateway."`
	Get   transfer.Get `cmd:"" help:"Take a flow through a running gateway: count, write or pass on what comes."`
	Put   transfer.Put `cmd:"" help:"Give a flow through a running gateway: files, standard input or test data."`

	Keygen keygenCommand `cmd:"" help:"Make keys, tokens and certificates."`

	Operators operate.Commands `embed:""`
	Manual    manual.Commands  `embed:""`
}

// parse reads arguments, environment and file; what is wrong is an error that
// names the option.
func parse(args []string) (*kong.Context, error) {
	app := &cli{}
	app.Serve.arguments = args
	parser, err := kong.New(app,
		kong.Name("gateway"),
		kong.Description("A flow broker for ZIO, reached over ZeroMQ and gRPC. Every option can also be set in the "+
			"environment (ZIO_GATEWAY_MAX_CREDIT=100) and in the file that --config names; the command line wins "+
			"over the environment, the environment over the file."),
		kong.DefaultEnvars("ZIO_GATEWAY"),
		kong.Configuration(loadYAML),
		kong.Vars{"version": manual.Line()},
		defaults(),
		kong.UsageOnError(),
	)
	if err != nil {
		return nil, err
	}
	manual.Complete(parser)
	return parser.Parse(args)
}

func main() {
	parsed, err := parse(os.Args[1:])
	if err == nil {
		err = parsed.Run(console.Standard())
	} else {
		err = exit.With(exit.Usage, err)
	}
	if err != nil {
		complain(err)
		os.Exit(int(exit.Of(err)))
	}
}
