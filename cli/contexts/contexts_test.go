package contexts_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zioflow/gateway/cli/contexts"
)

func open(t *testing.T, path string) *contexts.Store {
	t.Helper()
	s, err := contexts.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestStore: what is kept is there again, and nobody else can read it.
func TestStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "zio-gateway", "contexts.yaml")
	s := open(t, path)
	if _, err := s.Get("lab"); !errors.Is(err, contexts.ErrUnknown) || s.Current() != "" {
		t.Errorf("%v, %q", err, s.Current())
	}
	lab := contexts.Context{Address: "lab:7575", Token: "secret: #1", TLSCA: "-----BEGIN\nCERTIFICATE-----", TLSCert: "c", TLSKey: "k"}
	for _, err := range []error{s.Add("lab", lab, false), s.Add("home", contexts.Context{Address: "home:1"}, false)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Add("lab", contexts.Context{Address: "x"}, false); !errors.Is(err, contexts.ErrExists) {
		t.Errorf("a second one of the name: %v", err)
	}
	for _, name := range []string{"", "-x", "a/b", "a b", "\x1b[2J", strings.Repeat("a", 65)} {
		if err := s.Add(name, lab, false); !errors.Is(err, contexts.ErrName) {
			t.Errorf("the name %q: %v", name, err)
		}
	}
	again := open(t, path)
	if got, err := again.Get("lab"); err != nil || got != lab || again.Current() != "lab" || fmt.Sprint(again.Names()) != "[home lab]" {
		t.Errorf("%v, %v, %q, %v", got, err, again.Current(), again.Names())
	}
	for at, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): os.ModeDir | 0o700} {
		if info, err := os.Stat(at); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", at, info.Mode(), err)
		}
	}
	if err := again.Use("nowhere"); !errors.Is(err, contexts.ErrUnknown) || !strings.Contains(err.Error(), `["home" "lab"]`) {
		t.Errorf("using what is not there: %v", err)
	}
	if err := errors.Join(again.Use("home"), again.Remove("home")); err != nil || open(t, path).Current() != "" {
		t.Errorf("%v, %q", err, open(t, path).Current())
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("there is %v, %v", left, err)
	}
}

// TestMistakes: a file that is wrong is not taken for an empty one, nor written over.
func TestMistakes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "contexts.yaml")
	for _, text := range []string{"contexts: [", "contexts:\n  lab:\n    town: x\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := contexts.Open(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
