//go:build !soak

package matrix

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// slowPeers are those that take minutes to build: none, but in the soak.
func slowPeers(*testing.T) []peer { return nil }

// set is tensors.txt with one of its large tensors, which take most of the time.
func set(t *testing.T) string {
	text, err := os.ReadFile("tensors.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n\n")
	few := slices.Delete(all, len(all)-2, len(all)-1) // each of the two is a message
	name := filepath.Join(t.TempDir(), "tensors.txt")
	if err := os.WriteFile(name, []byte(strings.Join(few, "\n\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
