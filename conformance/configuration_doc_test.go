package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestConfigurationDocument: with the files of docs/configuration.md its commands print
// what it shows, all of it.
func TestConfigurationDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	folder := programFolder(t)
	for _, m := range regexp.MustCompile("(?s)<!-- file (\\S+) -->\n```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		if err := os.WriteFile(filepath.Join(folder, m[1]), []byte(m[2]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	blocks := fence.FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 4 {
		t.Fatalf("the document has %d consoles", len(blocks))
	}
	for _, block := range blocks {
		var commands, want []string
		for line := range strings.Lines(block[2]) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				commands = append(commands, command)
			} else {
				want = append(want, line)
			}
		}
		shell := exec.Command("bash", "-c", strings.Join(commands, ""))
		shell.Dir = folder
		shell.Env = []string{"PATH=" + os.Getenv("PATH")}
		out, _ := shell.CombinedOutput()
		if string(out) != strings.Join(want, "") {
			t.Errorf("%s\nprints\n%s\nthe document has\n%s", strings.Join(commands, ""), out, strings.Join(want, ""))
		}
	}
}
