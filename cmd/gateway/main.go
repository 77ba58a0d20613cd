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
	"github.com/zioflow/gateway/cmd/gateway/internal/settings"
)

// cli is the command line.
type cli struct {
	Release kong.VersionFlag `name:"version" help:"Print the version and end." env:"-" once:""`

	Config settings.File `help:"Read options from this YAML file; its keys are the flags' names." placeholder:"FILE" once:""`

	Serve serveCommand   `cmd:"" help:"Run the gateway."`
	Check checkCommand   `cmd:"" help:"Say what is wrong with a configuration file, and with the files that it names."`
	Get   transfer.Get   `cmd:"" help:"Take a flow through a running gateway: count, write or pass on what comes."`
	Put   transfer.Put   `cmd:"" help:"Give a flow through a running gateway: files, standard input or test data."`
	Tail  transfer.Tail  `cmd:"" help:"Take a flow through a running gateway, and show labels and sizes of what comes."`
	Bench transfer.Bench `cmd:"" help:"Give and take flows through a running gateway, and say how fast that is."`

	Keygen keygenCommand `cmd:"" help:"Make keys, tokens and certificates."`

	Operators operate.Commands `embed:""`
	Manual    manual.Commands  `embed:""`
}

// newParser is what reads the command line into app, and the environment and the file.
func newParser(app *cli, reading *settings.Reading) (*kong.Kong, error) {
	options := append(settings.Values(),
		kong.Name("gateway"),
		kong.Description("A flow broker for ZIO, reached over ZeroMQ and gRPC. Every option can also be set in the "+
			"environment (ZIO_GATEWAY_MAX_CREDIT=100) and in the file that --config names; the command line wins "+
			"over the environment, the environment over the file."),
		kong.DefaultEnvars("ZIO_GATEWAY"),
		kong.Bind(reading),
		kong.Vars{"version": manual.Line()},
		settings.Defaults(),
		kong.UsageOnError(),
	)
	parser, err := kong.New(app, options...)
	if err != nil {
		return nil, err
	}
	return parser, settings.ForgetEmpty(parser)
}

// parse reads arguments, environment and file; what is wrong is an error that
// names the option.
func parse(args []string) (*kong.Context, error) {
	app, reading := new(cli), new(settings.Reading)
	app.Serve.arguments, app.Serve.reading = args, reading
	parser, err := newParser(app, reading)
	if err != nil {
		return nil, err
	}
	manual.Complete(parser)
	parsed, err := parser.Parse(args)
	if err != nil {
		return nil, settings.InWords(err)
	}
	switch command := parsed.Selected(); {
	case command == nil:
	case command.Target.Addr().Interface() == any(&app.Serve):
		if app.Serve.Sockets, err = inherited(); err == nil {
			err = reading.Finish(parsed, &app.Serve.Serve)
		}
	case !manual.Shows(command.Target.Addr().Interface()): // which have to do with no gateway
		err = settings.CheckEnvironment(parsed.Model)
	}
	return parsed, err
}

func main() {
	parsed, err := parse(os.Args[1:])
	if err == nil {
		err = parsed.Run(console.Standard())
	} else {
		err = exit.With(exit.Usage, err)
		if path := settings.ReadyFile(os.Args[1:]); path != "" {
			_ = dropStale(path) // it would say that what does not start is there
		}
	}
	if err != nil {
		complain(err)
		os.Exit(int(exit.Of(err)))
	}
}
