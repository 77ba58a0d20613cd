package version

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"testing"
)

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", path))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestNumber: what is packed for Python and for Node has the gateway's version, and their
// documents name files of that version.
func TestNumber(t *testing.T) {
	if !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(Number) {
		t.Fatalf("the version is %q, want three numbers, which mean the same to Go, Python and Node", Number)
	}
	python := regexp.MustCompile(`(?m)^version = "(.*)"$`).FindSubmatch(read(t, "clients/python/pyproject.toml"))
	if python == nil || string(python[1]) != Number {
		t.Errorf("pyproject.toml has version %q, want %s: run make gen", python, Number)
	}
	for _, name := range []string{"package.json", "package-lock.json"} {
		var node struct {
			Version  string
			Packages map[string]struct{ Version string }
		}
		if err := json.Unmarshal(read(t, "clients/node/"+name), &node); err != nil {
			t.Fatal(err)
		}
		if own, locked := node.Packages[""]; node.Version != Number || locked && own.Version != Number {
			t.Errorf("%s has version %s, %s, want %s: run make gen", name, node.Version, own.Version, Number)
		}
	}
	file := regexp.MustCompile(`zioflow(?:[-_]gateway)?(?:-|==)(\d+\.\d+\.\d+)\b`)
	for _, path := range []string{"README.md", "clients/python/README.md", "clients/node/README.md"} {
		for _, name := range file.FindAllSubmatch(read(t, path), -1) {
			if string(name[1]) != Number {
				t.Errorf("%s names %s, the version is %s: run make gen", path, name[0], Number)
			}
		}
	}
}

func TestFull(t *testing.T) {
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"}
	for want, settings := range map[string][]debug.BuildSetting{
		"":                    {{Key: "CGO_ENABLED", Value: "0"}},
		"+0123456789ab":       {revision, {Key: "vcs.modified", Value: "false"}},
		"+0123456789ab.dirty": {revision, {Key: "vcs.modified", Value: "true"}},
	} {
		if got := full(settings); got != Number+want {
			t.Errorf("%v: %s, want %s%s", settings, got, Number, want)
		}
	}
}
