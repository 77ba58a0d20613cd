package zmtp

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestImports proves that the package is without I/O: what it imports is
// listed here, of the package time it uses only the unit of a duration, it
// starts no goroutine, and nothing of it depends on this module or on the
// network.
func TestImports(t *testing.T) {
	t.Parallel()
	allowed := []string{"bytes", "crypto/ecdh", "crypto/rand", "crypto/subtle", "encoding/binary", "errors", "fmt",
		"slices", "strconv", "strings", "time", "golang.org/x/crypto/nacl/secretbox", "golang.org/x/crypto/poly1305",
		"golang.org/x/crypto/salsa20/salsa",
		"golang.org/x/sys/cpu", "math"}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	looked := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		looked++
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			if path, _ := strconv.Unquote(spec.Path.Value); !slices.Contains(allowed, path) {
				t.Errorf("%s imports %s", name, path)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt, *ast.ChanType, *ast.SelectStmt:
				t.Errorf("%s has a %T", name, n)
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && n.Sel.Name != "Duration" && n.Sel.Name != "Second" {
					t.Errorf("%s uses time.%s", name, n.Sel.Name)
				}
			}
			return true
		})
	}
	if looked < 10 {
		t.Errorf("looked at %d files only", looked)
	}
}

func TestDependencies(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, "golang.org/x/crypto/salsa20/salsa") {
		t.Fatalf("go list says %s", out)
	}
	const module = "github.com/zioflow/gateway"
	for _, dep := range deps {
		if dep == "net" || strings.HasPrefix(dep, "net/") || dep == "C" ||
			strings.HasPrefix(dep, module) && dep != module+"/zmtp" {
			t.Errorf("depends on %s", dep)
		}
	}
}
