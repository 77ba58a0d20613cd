package jsonnet

import (
	"errors"
	"fmt"
	"os"
	"path"

	"github.com/google/go-jsonnet"
)

// noImports refuses all imports.
type noImports struct{}

// Import implements jsonnet.Importer.
func (noImports) Import(_, path string) (jsonnet.Contents, string, error) {
	return jsonnet.Contents{}, "", fmt.Errorf("import of %s: a ruleset that is given as text can't import files", path)
}

// folder imports files from a folder, or below it, only; a link that leads out of
// it is refused.
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
	text, err := ReadFile(f.root, name)
	if err != nil {
		return jsonnet.Contents{}, err
	}
	contents := jsonnet.MakeContents(text)
	f.read[name] = contents
	return contents, nil
}

// ReadFile reads a file of MaxText bytes at the most.
func ReadFile(root *os.Root, name string) (string, error) {
	file, err := root.Open(name)
	if err != nil {
		return "", err
	}
	text, err := readAll(file, MaxText)
	if err = errors.Join(err, file.Close()); err != nil {
		return "", err
	}
	if len(text) > MaxText {
		return "", fmt.Errorf("%s has more than %d bytes", name, MaxText)
	}
	return string(text), nil
}
