package zioflow_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadme has the README show nothing but what the examples run.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	examples, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(readme, -1)
	if len(blocks) < 5 {
		t.Fatalf("the README has %d examples", len(blocks))
	}
	run := unindented(string(examples))
	for _, b := range blocks {
		if !strings.Contains(run, unindented(string(b[1]))) {
			t.Errorf("no example has\n%s", b[1])
		}
	}
}

// TestReadme_clone has a program import the package from a clone, by the commands of the
// README.
func TestReadme_clone(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(readme, -1)
	if len(blocks) != 2 {
		t.Fatalf("the README has %d blocks of commands", len(blocks))
	}
	clone, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	program := filepath.Join(folder, "program")
	const text = "package main\n\nimport zioflow \"github.com/zioflow/gateway/clients/go\"\n\nvar _ zioflow.Bot\n\nfunc main() {}\n"
	err = errors.Join(
		os.Symlink(clone, filepath.Join(folder, "gateway")), os.Mkdir(program, 0o755),
		os.WriteFile(filepath.Join(program, "main.go"), []byte(text), 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "bash", "-euc", "go mod init example.com/program\n"+string(blocks[1][1])+"go vet .")
	command.Dir = program
	command.Env = append(os.Environ(), "GOFLAGS=", "CGO_ENABLED=0", "GOWORK=off")
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// unindented leaves out the white space, and the mark of a comment, at which lines begin.
func unindented(text string) string {
	return regexp.MustCompile(`(?m)^[ \t]*(//)?[ \t]*`).ReplaceAllString(text, "")
}
