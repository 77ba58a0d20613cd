// Command conformance plays the conformance scripts against a broker at any address, and
// prints which rules it keeps. docs/conformance-player.md describes it.
package main

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/zioflow/gateway/conformance/play"
	"github.com/zioflow/gateway/internal/script"
)

//go:embed scripts/*.txt
var scripts embed.FS

// The exit codes, besides 0 for a broker that keeps all rules that could be looked at.
const (
	exitFailed = 1 // it breaks rules
	exitUnused = 2 // nothing could be looked at: wrong use, or no connection
)

// flags are the command line.
type flags struct {
	ZMQServer string        `name:"zmq-server" help:"The broker's SERVER address, for CLIENT sockets, such as tcp://127.0.0.1:5555." placeholder:"ADDRESS"`
	ZMQRouter string        `name:"zmq-router" help:"The broker's ROUTER address, for DEALER sockets." placeholder:"ADDRESS"`
	GRPC      string        `name:"grpc" help:"The address of its gRPC services." placeholder:"HOST:PORT"`
	Options   string        `help:"What the broker was started with, of what scenarios name: \"max-credit=5\", \"default-routes\". Only scenarios for that are played." placeholder:"OPTIONS"`
	Engine    string        `help:"What the broker's ZeroMQ does with messages that are far too large: zmtp, or libzmq, which cuts the connection." enum:"zmtp,libzmq" default:"zmtp"`
	Run       string        `help:"Only scenarios whose title, file or rule this matches." placeholder:"REGEXP"`
	Patience  time.Duration `help:"How long a step waits for what must come." default:"10s"`
	Short     bool          `help:"Leave out what waits for the broker's own deadlines."`
	List      bool          `help:"List the scenarios, and play none."`
	JSON      bool          `name:"json" help:"Print the report as JSON."`
	Verbose   bool          `short:"v" help:"Print every scenario as it is played, on standard error."`
	secureFlags
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run returns the exit code.
func run(arguments []string, stdout, stderr io.Writer) int {
	var f flags
	helped := false
	parser, err := kong.New(&f, kong.Name("conformance"), kong.Writers(stdout, stderr), kong.Exit(func(int) { helped = true }),
		kong.Description("Plays the conformance scripts against a broker, and says which rules it keeps."))
	if err == nil {
		_, err = parser.Parse(arguments)
	}
	if helped {
		return 0
	}
	code := exitUnused
	if err == nil {
		code, err = f.run(stdout, stderr)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "conformance:", err)
	}
	return code
}

func (f *flags) run(stdout, stderr io.Writer) (int, error) {
	all, err := play.Load(scripts, "scripts")
	if err != nil {
		return exitUnused, err
	}
	wanted, err := regexp.Compile(f.Run)
	if err != nil {
		return exitUnused, fmt.Errorf("run: %w", err)
	}
	take := func(s *play.Scenario) bool {
		return f.Run == "" || wanted.MatchString(s.Title) || wanted.MatchString(s.File) || matchesAny(wanted, s.Rules)
	}
	if f.List {
		return list(all, take, stdout)
	}
	target, err := f.target()
	if err != nil {
		return exitUnused, err
	}
	if err := target.Reach(); err != nil {
		return exitUnused, err
	}
	var progress func(*play.Scenario, play.Pair, error)
	if f.Verbose {
		progress = func(s *play.Scenario, pair play.Pair, err error) {
			_, _ = fmt.Fprintf(stderr, "%s %v: %s, %v\n", result(err), s.Pos, s.Title, pair)
		}
	}
	report := target.Run(all, take, progress)
	return f.print(report, stdout)
}

func result(err error) play.Result {
	if err != nil {
		return play.Failed
	}
	return play.Passed
}

func matchesAny(wanted *regexp.Regexp, texts []string) bool {
	for _, text := range texts {
		if wanted.MatchString(text) {
			return true
		}
	}
	return false
}

func (f *flags) target() (*play.Target, error) {
	if f.ZMQServer == "" && f.ZMQRouter == "" && f.GRPC == "" {
		return nil, errors.New("which broker? want at least one of --zmq-server, --zmq-router and --grpc")
	}
	if f.Patience <= 0 {
		return nil, fmt.Errorf("patience is %v, want more than 0", f.Patience)
	}
	t := &play.Target{
		Server: f.ZMQServer, Router: f.ZMQRouter, GRPC: f.GRPC,
		Options: strings.Fields(f.Options), Engine: f.Engine, Patience: f.Patience, Short: f.Short,
	}
	var err error
	if t.Curve, err = f.curve(); err != nil {
		return nil, err
	}
	t.DialOptions, err = f.dialOptions()
	return t, err
}

// list prints what there is to play.
func list(all []*play.Scenario, take func(*play.Scenario) bool, to io.Writer) (int, error) {
	for _, s := range all {
		if !take(s) {
			continue
		}
		line := fmt.Sprintf("%v: %s (%s)", script.Pos{File: s.File, Line: s.Line}, s.Title, strings.Join(s.Rules, " "))
		if len(s.Options) > 0 {
			line += ", with " + strings.Join(s.Options, " ")
		}
		if _, err := fmt.Fprintln(to, line); err != nil {
			return exitUnused, err
		}
	}
	return 0, nil
}

func (f *flags) print(report *play.Report, to io.Writer) (code int, err error) {
	if f.JSON {
		encoder := json.NewEncoder(to)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		err = encoder.Encode(report)
	} else {
		err = report.Print(to)
	}
	switch {
	case err != nil:
		return exitUnused, err
	case report.Count(play.Failed) > 0:
		return exitFailed, nil
	case report.Count(play.Passed) == 0:
		return exitUnused, errors.New("nothing was played")
	}
	return 0, nil
}
