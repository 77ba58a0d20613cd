package main_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/zioflow/gateway/access"
)

// keyed is what differs from one set of keys, and from one run, to another.
var keyed = regexp.MustCompile(`(curve-keys: ).*|(sha256: ).*|(expires: ).*|( in ).*|(valid until ).*`)

// TestSecurityQuickStart runs the console blocks of docs/security.md as printed,
// in a folder of their own, and wants to see what is printed there. Only ports,
// keys and times may differ.
func TestSecurityQuickStart(t *testing.T) {
	text, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := consoleBlocks(string(text))
	if len(blocks) < 15 {
		t.Fatalf("found only %d console blocks", len(blocks))
	}
	folder := programFolder(t)
	ports := strings.NewReplacer()
	for _, b := range blocks {
		if arguments, serves := strings.CutPrefix(b.command, "bin/gateway serve "); serves {
			ports = serveAsPrinted(t, folder, arguments, b.output)
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		command := exec.CommandContext(ctx, "bash", "-c", ports.Replace(b.command))
		command.Dir = folder
		command.WaitDelay = time.Second
		out, _ := command.CombinedOutput() // that of those that fail is printed as well
		cancel()
		want := keyed.ReplaceAllString(ports.Replace(strings.Join(b.output, "\n")), "$1$2$3$4$5…")
		got := keyed.ReplaceAllString(strings.TrimSuffix(string(out), "\n"), "$1$2$3$4$5…")
		if got != want {
			t.Errorf("%s\nis to print\n%s\nbut prints\n%s", b.command, want, got)
		}
	}
}

// TestSecurityExample: the example of an identities file is one.
func TestSecurityExample(t *testing.T) {
	text, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "```yaml\n")
	example, _, closed := strings.Cut(after, "```")
	if !found || !closed {
		t.Fatal("there is no example")
	}
	if rules, err := access.Parse([]byte(example)); err != nil || rules.Identities() != 2 {
		t.Errorf("the example is read as %+v, %v", rules, err)
	}
}

// serveAsPrinted serves on ports of its own, and answers what makes the printed
// ones of them.
func serveAsPrinted(t *testing.T, folder, arguments string, printed []string) *strings.Replacer {
	t.Helper()
	arguments = strings.NewReplacer(":7575", ":0", ":5555", ":0", ":5556", ":0", " keys/", " "+folder+"/keys/").Replace(arguments)
	p := serveAt(t, nil, append(strings.Fields(arguments), "--http", "127.0.0.1:0"), nil)
	port := regexp.MustCompile(`:\d+\b`)
	if got, want := port.ReplaceAllString(p.ready, ":…"), port.ReplaceAllString(strings.Join(printed, "\n"), ":…"); got != want {
		t.Errorf("the gateway is to print\n%s\nbut prints\n%s", want, got)
	}
	last := func(address string) string { return address[strings.LastIndexByte(address, ':'):] }
	return strings.NewReplacer(":7575", last(p.addresses[viaGRPC]), ":5555", last(p.addresses[viaClient]), ":5556", last(p.addresses[viaDealer]))
}

// TestServiceUnit has systemd check the unit files, and rate how exposed the service is.
func TestServiceUnit(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	program, err := builtProgram()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../deploy/zio-gateway.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "zio-gateway.service")
	// It wants the program to be there.
	text = []byte(strings.ReplaceAll(string(text), "/usr/local/bin/gateway", program))
	if err := os.WriteFile(unit, text, 0o600); err != nil {
		t.Fatal(err)
	}
	sockets, err := os.ReadFile("../deploy/zio-gateway.socket")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(strings.Replace(unit, ".service", ".socket", 1), sockets, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, check := range [][]string{
		{"verify", "--man=no", unit, strings.Replace(unit, ".service", ".socket", 1)},
		{"security", "--offline=true", "--threshold=15", unit}, // tenths: 1.5 is as much as it may be
	} {
		if out, err := exec.Command("systemd-analyze", check...).CombinedOutput(); err != nil {
			t.Errorf("systemd-analyze %v: %v\n%s", check, err, out)
		}
	}
}
