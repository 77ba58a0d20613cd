package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zioflow/gateway/cli/exit"
)

// TestOperatingDocument runs the commands of docs/operating.md as printed, and wants to see
// what is printed there, but for numbers.
func TestOperatingDocument(t *testing.T) {
	t.Parallel()
	newFollowed(t, "docs/operating.md").run(t, 8)
}

// TestIncident plays docs/incident.md.
func TestIncident(t *testing.T) {
	t.Parallel()
	newFollowed(t, "docs/incident.md").run(t, 14)
}

// TestExitCodesDocumented: the document has the codes that there are.
func TestExitCodesDocumented(t *testing.T) {
	var rows strings.Builder
	for _, m := range exit.All() {
		fmt.Fprintf(&rows, "| %d | %s |\n", m.Code, m.Words)
	}
	if !strings.Contains(document(t, "docs/operating.md"), "<!-- exit codes -->\n| code | meaning |\n|---|---|\n"+rows.String()) {
		t.Errorf("docs/operating.md has not the codes\n%s", &rows)
	}
}

// followed is a document whose commands are run against a gateway of its own.
type followed struct {
	text        string
	environment []string
	folder      string
	addresses   *strings.Replacer
}

func newFollowed(t *testing.T, path string, arguments ...string) *followed {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", path))
	if err != nil {
		t.Fatal(err)
	}
	ready := serving(t, arguments...)
	address := ready["grpc"].(string)
	return &followed{
		text: string(text), environment: program(t, address), folder: t.TempDir(),
		addresses: strings.NewReplacer("127.0.0.1:7575", address, "127.0.0.1:7576", fmt.Sprint(ready["http"])),
	}
}

var consoleBlock = regexp.MustCompile("(?s)(?:<!-- (aside) -->\n)?```console\n\\$ (.*?)\n(.*?)```")

func (f *followed) run(t *testing.T, atLeast int) {
	t.Helper()
	blocks := consoleBlock.FindAllStringSubmatch(f.text, -1)
	if len(blocks) < atLeast || len(blocks) != strings.Count(f.text, "```console") {
		t.Fatalf("there are %d blocks", len(blocks))
	}
	for _, block := range blocks {
		aside, command, printed := block[1] != "", block[2], block[3]
		if aside {
			f.aside(t, command)
			continue
		}
		f.compare(t, command, printed)
	}
}

// command is one as a shell has it.
func (f *followed) command(ctx context.Context, line string) *exec.Cmd {
	c := exec.CommandContext(ctx, "bash", "-c", f.addresses.Replace(line)+" 2>&1")
	c.Env, c.Dir = f.environment, f.folder
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with what it starts itself
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGTERM) }
	c.WaitDelay = 30 * time.Second
	return c
}

// aside starts a command that goes on until the test ends.
func (f *followed) aside(t *testing.T, line string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := f.command(ctx, line)
	var out bytes.Buffer
	c.Stdout = &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = c.Wait()
		if t.Failed() {
			t.Logf("$ %s\n%s", line, &out)
		}
	})
}

// compare runs a command until it shows what is printed: what was started aside may need some
// time to come.
func (f *followed) compare(t *testing.T, line, printed string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for tick := time.NewTicker(200 * time.Millisecond); ; {
		out, _ := f.command(ctx, line).Output()
		if numbersAside(string(out)) == numbersAside(printed) {
			tick.Stop()
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			t.Fatalf("$ %s\nis\n%s\nand in the document\n%s", line, out, printed)
		}
	}
}

var (
	quantity = regexp.MustCompile(`\d+[smhd](\d+[smhd])+|\d[\d.,:/-]*( \d\d:\d\d:\d\d)?( ?(ms|[smhd%]|[KMGT]?i?B)\b(/s)?)?(/s)?`)
	// holder is whom a flow waits for, which is not the same on every machine.
	holder = regexp.MustCompile(`(giver|taker) #(, now (giver|taker))?`)
	spaces = regexp.MustCompile(` +`)
)

// TestNumbersAside: what takes longer on a busy machine looks the same.
func TestNumbersAside(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"raw  9s  dump": "raw # dump", "raw  1m5s  dump": "raw # dump", "raw 1h2m dump": "raw # dump", "up 1d2h3m": "up #",
		"1,204/s  1.0 MiB/s    3/10  2m": "# # # #", "since 2026-11-26 12:00:00 it": "since # it", "128 MB/s in 5.4s": "# in #",
	} {
		if got := numbersAside(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// numbersAside is a text without its numbers and units, and how it is set into columns.
func numbersAside(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(spaces.ReplaceAllString(holder.ReplaceAllString(quantity.ReplaceAllString(line, "#"), "who #"), " "))
	}
	return strings.Join(lines, "\n")
}
