package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/zioflow/gateway/cli/exit"
)

// shell runs a line as a shell has it, with the command gateway.
func shell(t *testing.T, name, line string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, "-c", line)
	c.Env = program(t, "127.0.0.1:1")
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil || errs.Len() > 0 {
		t.Fatalf("%s: %s: %v: %s%s", name, line, err, out, &errs)
	}
	return string(out)
}

// TestManual: groff shows the page without a warning, and it has every command, every exit
// code and the files.
func TestManual(t *testing.T) {
	t.Parallel()
	page := shell(t, "bash", "set -o pipefail; gateway man | groff -man -Tutf8 -ww -P-cbou")
	page = strings.Join(strings.Fields(strings.ReplaceAll(page, "‐\n", "")), " ")
	parsed, err := parse([]string{"version"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"gateway - A flow broker for ZIO, reached over ZeroMQ and gRPC.", "Every option can also be set", "contexts.yaml", "NO_COLOR"}
	for _, command := range parsed.Model.Leaves(true) {
		want = append(want, strings.TrimPrefix(command.FullPath(), "gateway "))
	}
	for _, m := range exit.All() {
		want = append(want, fmt.Sprintf("%d: %s", m.Code, strings.Fields(m.Words)[0]))
	}
	for _, words := range want {
		if !strings.Contains(page, words) {
			t.Errorf("there is no %q", words)
		}
	}
	if t.Failed() {
		t.Log(page)
	}
}

// TestCompletion: each shell takes its script, and completes by it.
func TestCompletion(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{
		"bash": `source <(gateway completion bash); complete -p gateway; COMP_LINE="gateway routes t" COMP_POINT=16 gateway`,
		"zsh":  `source <(gateway completion zsh); echo $_comps[gateway]; COMP_LINE="gateway routes t" COMP_POINT=16 gateway`,
		"fish": `gateway completion fish | source; complete -C "gateway routes t"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := shell(t, name, line)
			if !regexp.MustCompile(`(?m)^test\s*$`).MatchString(out) || name != "fish" && !strings.Contains(strings.ReplaceAll(out, "'", ""), "-C gateway") {
				t.Errorf("it completes to %q", out)
			}
		})
	}
	if out := shell(t, "bash", `COMP_LINE="gateway flows --sort " COMP_POINT=21 gateway`); !strings.Contains(out, "bytes\n") {
		t.Errorf("the values of an option are %q", out)
	}
}

// TestZshFunction: where zsh looks for functions, its script completes from the first key on.
func TestZshFunction(t *testing.T) {
	t.Parallel()
	x := newTmux(t, program(t, "127.0.0.1:1"))
	folder := t.TempDir()
	x.enters("gateway completion zsh >" + folder + "/_gateway && cd " + folder + " && exec zsh -f")
	x.enters("fpath=($PWD $fpath); PS1='$ '; autoload -U compinit; compinit -u -D; clear")
	x.wait(`^\$$`)
	x.types("gateway vers")
	x.press("Tab")
	x.wait(`^\$ gateway version`)
	x.press("Enter")
	x.wait(`^gateway 0\.`)
}

func TestVersion(t *testing.T) {
	t.Parallel()
	if out := shell(t, "bash", `gateway version; gateway --version`); strings.Count(out, "gateway 0.") != 2 || strings.Count(out, "\n") != 2 {
		t.Errorf("it is %q", out)
	}
	if out := shell(t, "bash", `gateway version --json`); !strings.Contains(out, `"version": "0.`) {
		t.Errorf("it is %q", out)
	}
}

// TestHelp: every command and option says what it does.
func TestHelp(t *testing.T) {
	parsed, err := parse([]string{"version"})
	if err != nil {
		t.Fatal(err)
	}
	err = kong.Visit(parsed.Model.Node, func(n kong.Visitable, next kong.Next) error {
		switch n := n.(type) {
		case *kong.Node:
			if n.Help == "" {
				t.Errorf("%s says nothing", n.FullPath())
			}
		case *kong.Flag:
			if n.Help == "" && !n.Hidden {
				t.Errorf("--%s says nothing", n.Name)
			}
		}
		return next(nil)
	})
	if err != nil {
		t.Error(err)
	}
}
