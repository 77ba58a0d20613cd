package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
)

// fileValues is a configuration file's content, by flag name: values as they
// would stand on the command line, and sections, which read themselves. It
// implements kong.Resolver.
type fileValues map[string]any

func loadYAML(r io.Reader) (kong.Resolver, error) {
	name := "configuration file"
	if file, ok := r.(*os.File); ok {
		name = file.Name()
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(text) == 0 && name != os.DevNull { // somebody is about to write it
		return nil, fmt.Errorf("%s: is empty", name)
	}
	var read map[string]any
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&read); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	values := fileValues{}
	for key, value := range read {
		if key == "routes" {
			values[key] = routesSection{value, filepath.Dir(name)}
			continue
		}
		text, err := asFlag(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", name, key, err)
		}
		values[key] = text
	}
	return values, nil
}

// asFlag is a value as it would stand on the command line, which is where it is
// checked. A list stands there with commas.
func asFlag(value any) (string, error) {
	switch v := value.(type) {
	case map[string]any:
		return "", errors.New("is a map, want a value or a list of values")
	case []any:
		words := make([]string, len(v))
		for i, item := range v {
			words[i] = fmt.Sprint(item)
		}
		return strings.Join(words, ","), nil
	case nil:
		return "", errors.New("has no value")
	default:
		return fmt.Sprint(v), nil
	}
}

// Validate names a key that is no option of the command.
func (v fileValues) Validate(app *kong.Application) error {
	known := map[string]bool{}
	for _, command := range app.Leaves(true) {
		for _, flags := range command.AllFlags(false) {
			for _, flag := range flags {
				known[flag.Name] = true
			}
		}
	}
	delete(known, "version") // which is asked for, not set
	for key := range v {
		if !known[key] {
			return fmt.Errorf("configuration file: %s is not an option", key)
		}
	}
	return nil
}

// Resolve returns the file's value for a flag, unless the environment has one.
func (v fileValues) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	if value, ok := v[flag.Name]; ok {
		return value, nil
	}
	return nil, nil
}
