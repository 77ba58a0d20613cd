package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDevelopmentDocument: what docs/development.md names is there, and its table has
// every room of the house.
func TestDevelopmentDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "docs", "development.md"))
	if err != nil {
		t.Fatal(err)
	}
	rooms := map[string]bool{}
	for _, word := range regexp.MustCompile("`([a-z][\\w./-]*)`").FindAllStringSubmatch(string(text), -1) {
		name := word[1]
		info, err := os.Stat(filepath.Join("..", filepath.FromSlash(name)))
		if strings.ContainsAny(name, "/") && err != nil && !isSymbol(name) {
			t.Errorf("%s is not there", name)
		}
		if err == nil && info.IsDir() {
			rooms[name] = true
		}
	}
	for _, room := range []string{
		"cmd/gateway", "cli", "gateway", "server", "zre", "zmqbridge", "access", "telemetry", "broker", "zmtp", "internal",
	} {
		if !rooms[room] {
			t.Errorf("%s is not mentioned", room)
		}
	}
	symbols := regexp.MustCompile("`(?:broker\\.|relay\\.)?(Peer|Flow)\\.(\\w+)`").FindAllStringSubmatch(string(text), -1)
	if len(symbols) < 3 {
		t.Errorf("%d methods are named, want those of a DAT's way", len(symbols))
	}
	for _, s := range symbols {
		file := map[string]string{"Peer": "broker/peer.go", "Flow": "broker/relay/flow.go"}[s[1]]
		source, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(file)))
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`func \(\w+ \*` + s[1] + `\) ` + s[2] + `\(`).Match(source) {
			t.Errorf("there is no %s.%s", s[1], s[2])
		}
	}
}

// isSymbol tells a name of Go's, such as testing/synctest, from a path of ours.
func isSymbol(name string) bool { return strings.HasPrefix(name, "testing/") }

// TestEveryPackageLooksForLeaks: goroutines that tests leave behind are looked for in every
// package that has tests, but for the soak, which is one program that starts others.
func TestEveryPackageLooksForLeaks(t *testing.T) {
	t.Parallel()
	files, err := exec.CommandContext(t.Context(), "git", "-C", "..", "ls-files", "*_test.go").Output()
	if err != nil {
		t.Fatal(err)
	}
	looks := map[string]bool{}
	for name := range strings.Lines(string(files)) {
		name = strings.TrimSuffix(name, "\n")
		folder := filepath.Dir(name)
		if folder == "soak" || strings.HasPrefix(folder, "bench/chart") { // a module of its own
			continue
		}
		text, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		looks[folder] = looks[folder] || strings.Contains(string(text), `"go.uber.org/goleak"`)
	}
	if len(looks) < 50 {
		t.Errorf("there are %d packages with tests", len(looks))
	}
	for folder, does := range looks {
		if !does {
			t.Errorf("%s does not", folder)
		}
	}
}
