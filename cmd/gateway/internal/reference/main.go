// Command reference writes what is generated of the gateway's options into the project,
// which is the working directory: see scripts/gen.sh.
package main

import (
	"fmt"
	"os"

	"github.com/zioflow/gateway/cmd/gateway/internal/settings"
)

// What is written.
const (
	document = "docs/configuration.md"
	example  = "deploy/gateway.yaml"
)

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

func write() error {
	is, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	text, err := settings.Reference(string(is))
	if err != nil {
		return fmt.Errorf("%s: %w", document, err)
	}
	if err := os.WriteFile(document, []byte(text), 0o644); err != nil {
		return err
	}
	if text, err = settings.Example(); err != nil {
		return err
	}
	return os.WriteFile(example, []byte(text), 0o644)
}
