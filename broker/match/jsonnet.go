package match

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/google/go-jsonnet"
)

// maxRules bounds a ruleset's file and each file that it imports, in bytes.
const maxRules = 1 << 20

// maxStack bounds how deep a Jsonnet text's calls may go.
const maxStack = 200

type importer = jsonnet.Importer

// evaluate is a text as JSON. One that is JSON already stays as it is, so that
// its integers keep all their digits, which Jsonnet would round.
func evaluate(name, text string, imports importer) ([]byte, error) {
	if json.Valid([]byte(text)) {
		return []byte(text), nil
	}
	vm := jsonnet.MakeVM()
	vm.MaxStack = maxStack
	vm.Importer(imports)
	out, err := vm.EvaluateAnonymousSnippet(name, text)
	if err != nil {
		return nil, errors.New(strings.Join(strings.Fields(err.Error()), " "))
	}
	return []byte(out), nil
}

// noImports refuses all imports.
type noImports struct{}

// Import implements jsonnet.Importer.
func (noImports) Import(_, path string) (jsonnet.Contents, string, error) {
	return jsonnet.Contents{}, "", fmt.Errorf("import of %s: a ruleset that is given as text can't import files", path)
}

// ReadRules reads a ruleset as ParseRules does, from a file. It may import files
// that are in the same folder, or below it; a link that leads out of it is
// refused.
func ReadRules(file string) (_ *Rules, err error) {
	root, err := os.OpenRoot(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	folder := &folder{root: root, read: map[string]jsonnet.Contents{}}
	name := filepath.Base(file)
	text, err := folder.file(name)
	if err != nil {
		return nil, err
	}
	rules, err := parseRules(name, text.String(), folder)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return rules, nil
}

// folder imports files from a folder only.
type folder struct {
	root *os.Root
	read map[string]jsonnet.Contents // by path below root
}

// Import implements jsonnet.Importer.
func (f *folder) Import(from, name string) (jsonnet.Contents, string, error) {
	if path.IsAbs(name) {
		return jsonnet.Contents{}, "", fmt.Errorf("import of %s: only files in the ruleset's own folder can be imported", name)
	}
	foundAt := path.Join(path.Dir(from), name)
	contents, err := f.file(foundAt)
	if err != nil {
		return jsonnet.Contents{}, "", fmt.Errorf("import of %s: %w", name, err)
	}
	return contents, foundAt, nil
}

// file reads a file once.
func (f *folder) file(name string) (jsonnet.Contents, error) {
	if contents, known := f.read[name]; known {
		return contents, nil
	}
	file, err := f.root.Open(name)
	if err != nil {
		return jsonnet.Contents{}, err
	}
	text, err := io.ReadAll(io.LimitReader(file, maxRules+1))
	if err = errors.Join(err, file.Close()); err != nil {
		return jsonnet.Contents{}, err
	}
	if len(text) > maxRules {
		return jsonnet.Contents{}, fmt.Errorf("%s has more than %d bytes", name, maxRules)
	}
	contents := jsonnet.MakeContentsRaw(text)
	f.read[name] = contents
	return contents, nil
}
