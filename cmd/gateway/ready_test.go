package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zioflow/gateway/gateway"
)

// TestReadyFile: it is there while its gateway runs. What a killed one has left goes;
// what is another's, or no ready file, stays.
func TestReadyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ready")
	wantLeft := func(when string, want bool) {
		t.Helper()
		if _, err := os.Lstat(path); (err == nil) != want {
			t.Errorf("%s: %v", when, err)
		}
	}
	if err := dropStale(path); err != nil {
		t.Errorf("of none: %v", err)
	}
	running, err := writeReady(path, gateway.Addresses{GRPC: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), "127.0.0.1:1") {
		t.Errorf("it has %s, %v", text, err)
	}
	if err := dropStale(path); err == nil || !strings.Contains(err.Error(), "is that of a gateway that runs") {
		t.Errorf("of one that runs: %v", err)
	}
	wantLeft("of one that runs", true)
	for range 2 {
		if err := running.remove(); err != nil {
			t.Error(err)
		}
	}
	wantLeft("removed", false)
	for stale, want := range map[string]string{string(text): "", "": "", "root:x:0:0\n": "is no ready file", `{"name": 1}`: "is no ready file"} {
		if err := os.WriteFile(path, []byte(stale), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := dropStale(path); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", stale, err, want)
		}
		wantLeft(stale, want != "")
	}
	_ = os.Remove(path) // unless the last was stale
	running, err = writeReady(path, gateway.Addresses{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", []byte("another's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	if err := running.remove(); err != nil {
		t.Error(err)
	}
	wantLeft("replaced by another's", true)
	if err := dropStale(filepath.Dir(path)); err == nil {
		t.Error("a folder is taken for a ready file")
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}
