package zioflow_test

import (
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestImports keeps the client apart from the gateway that it talks to.
func TestImports(t *testing.T) {
	const module = "github.com/zioflow/gateway/"
	allowed := []string{module + "gen/go/", module + "internal/text", "github.com/cenkalti/backoff/v5", "google.golang.org/grpc", "google.golang.org/protobuf/", "google.golang.org/genproto/googleapis/rpc/"}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		files++
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			standard := !strings.Contains(path, ".")
			if !standard && !slices.ContainsFunc(allowed, func(prefix string) bool { return strings.HasPrefix(path, prefix) }) {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
	if files < 10 {
		t.Errorf("only %d files were read", files)
	}
}
