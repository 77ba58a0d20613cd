//go:build soak

package matrix

import (
	"path/filepath"
	"testing"
)

// slowPeers builds those that take minutes to build.
func slowPeers(t *testing.T) []peer {
	look(t, root+"/proto", "cpp")
	dir := t.TempDir()
	build(t, "cpp/build.sh", dir)
	return []peer{{name: "cpp", command: []string{filepath.Join(dir, "peer")}}}
}

// set is everything.
func set(*testing.T) string { return "tensors.txt" }
