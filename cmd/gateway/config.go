package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
)

// fileValues is a configuration file's content, by flag name. It implements
// kong.Resolver.
type fileValues map[string]any

func loadYAML(r io.Reader) (kong.Resolver, error) {
	values := fileValues{}
	if err := yaml.NewDecoder(r).Decode(&values); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return values, nil
}

// Validate names a key that is no option of the command.
func (v fileValues) Validate(app *kong.Application) error {
	known := map[string]bool{}
	for _, command := range app.Leaves(true) {
		for _, flags := range command.AllFlags(true) {
			for _, flag := range flags {
				known[flag.Name] = true
			}
		}
	}
	for key := range v {
		if !known[key] {
			return fmt.Errorf("configuration file: %s is not an option", key)
		}
	}
	return nil
}

// Resolve answers the file's value for a flag, unless the environment has one.
func (v fileValues) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	return v[flag.Name], nil
}
