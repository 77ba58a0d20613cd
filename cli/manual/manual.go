// Package manual is what the command line says of itself: its version, its manual page, and
// how shells complete it.
package manual

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/alecthomas/kong"
	mangokong "github.com/alecthomas/mango-kong"
	"github.com/muesli/roff"
	"github.com/willabides/kongplete"

	"github.com/zioflow/gateway/cli/console"
	"github.com/zioflow/gateway/cli/exit"
	"github.com/zioflow/gateway/cli/tables"
	"github.com/zioflow/gateway/internal/version"
)

// Commands are those that need no gateway.
type Commands struct {
	Version    versionCommand    `cmd:"" help:"Print the version."`
	Completion completionCommand `cmd:"" help:"Print what has a shell complete this command line."`
	Man        manCommand        `cmd:"" help:"Print the manual page: gateway man | man -l -"`
}

// Shows tells whether a command is one of them.
func Shows(command any) bool {
	switch command.(type) {
	case *versionCommand, *completionCommand, *manCommand:
		return true
	}
	return false
}

// Line is the version with what the program was built by.
func Line() string {
	return fmt.Sprintf("gateway %s (%s %s/%s)", version.Full(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

type versionCommand struct {
	JSON bool `name:"json" env:"-" help:"Print it as JSON."`
}

// Run prints the version.
func (v *versionCommand) Run(c *console.Console) error {
	if !v.JSON {
		return c.Print(Line() + "\n")
	}
	text, err := tables.PlainJSON(map[string]string{
		"version": version.Full(), "go": runtime.Version(), "os": runtime.GOOS, "architecture": runtime.GOARCH,
	})
	if err != nil {
		return err
	}
	return c.Print(text)
}

// Complete prints how the command line goes on and ends the program, if a shell has started
// it for that; otherwise it does nothing.
func Complete(parser *kong.Kong) {
	if _, asked := os.LookupEnv("COMP_LINE"); asked {
		kongplete.Complete(parser)
	}
}

// scripts have a shell ask the program itself, by its environment. That for zsh may be read, or
// lie as _gateway where zsh looks for functions: then it is called for the first completion.
var scripts = map[string]string{
	"bash": "complete -C gateway gateway\n",
	"zsh": `#compdef gateway
(( $+functions[compdef] )) || { autoload -U compinit && compinit }
autoload -U +X bashcompinit && bashcompinit
complete -C gateway gateway
[[ ${funcstack[1]} != _gateway ]] || _bash_complete -C gateway
`,
	"fish": `function __complete_gateway
    set -lx COMP_LINE (commandline -cp)
    test -z (commandline -ct)
    and set COMP_LINE "$COMP_LINE "
    gateway
end
complete -f -c gateway -a "(__complete_gateway)"
`,
}

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"${enum}. For bash and zsh: source <(gateway completion bash); for fish: gateway completion fish | source"`
}

// Run prints a shell's script.
func (s *completionCommand) Run(c *console.Console) error { return c.Print(scripts[s.Shell]) }

type manCommand struct{}

// Run prints the manual page, in roff.
func (manCommand) Run(c *console.Console, app *kong.Kong) error {
	var codes strings.Builder
	for _, m := range exit.All() {
		fmt.Fprintf(&codes, "%d: %s\n\n", m.Code, m.Words)
	}
	model := *app.Model
	node := *model.Node // with its first sentence apart, which is the page's name
	model.Node = &node
	node.Help = strings.Replace(node.Help, ". ", ".\n", 1)
	page := mangokong.NewManPage(1, &model).
		WithSection("Exit status", codes.String()).
		WithSection("Environment", "Options have names there such as ZIO_GATEWAY_ADDRESS and ZIO_GATEWAY_TOKEN_FILE. "+
			"NO_COLOR has tables be without colours.").
		WithSection("Files", "$XDG_CONFIG_HOME/zio-gateway/contexts.yaml: the gateways that gateway context keeps, with their tokens and keys. "+
			"By default it is in ~/.config.")
	return c.Print(page.Build(roff.NewDocument()))
}
