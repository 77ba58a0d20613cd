package transfer

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	consoleFence = regexp.MustCompile("(?s)<!-- terminal (\\d) -->\n```console\n(.*?)```")
	varying      = regexp.MustCompile(`, in .*|(DID   VIA|gave  grpc|took  grpc) .*`)
)

// TestDocument runs the console blocks of docs/transfer.md as printed, in a folder of their
// own, and wants to see what is printed there, but for times.
func TestDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/transfer.md")
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "bin", "gateway")); err != nil {
		t.Fatal(err)
	}
	terminals, running := map[string]*bufio.Reader{}, map[string]*exec.Cmd{}
	blocks := consoleFence.FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 5 {
		t.Fatalf("found only %d console blocks", len(blocks))
	}
	for _, block := range blocks {
		terminal, lines := block[1], strings.SplitAfter(block[2], "\n")
		for _, line := range lines {
			line = varying.ReplaceAllString(line, "$1")
			words, isCommand := strings.CutPrefix(line, "$ ")
			switch {
			case line == "":
			case isCommand:
				if earlier := running[terminal]; earlier != nil {
					if _, err := io.Copy(io.Discard, terminals[terminal]); err != nil {
						t.Fatal(err)
					}
					if err := earlier.Wait(); err != nil {
						t.Fatalf("%v: %v", earlier, err)
					}
				}
				c := command(t)
				shell := exec.CommandContext(t.Context(), "bash", "-c", words)
				shell.Dir, shell.Env = dir, slices.Concat(c.Env, []string{"ZIO_GATEWAY_ADDRESS=" + s.GRPC})
				out, err := shell.StdoutPipe()
				if err == nil {
					err = shell.Start()
				}
				if err != nil {
					t.Fatal(err)
				}
				terminals[terminal], running[terminal] = bufio.NewReader(out), shell
			default:
				printed := make(chan string, 1)
				go func() {
					got, _ := terminals[terminal].ReadString('\n') // or its end
					printed <- got
				}()
				if got := varying.ReplaceAllString(received(t, printed, line), "$1"); got != line {
					t.Fatalf("terminal %s printed %q, the document has %q", terminal, got, line)
				}
			}
		}
	}
	for _, shell := range running {
		if err := shell.Wait(); err != nil {
			t.Errorf("%v: %v", shell, err)
		}
	}
}
