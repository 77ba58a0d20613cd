package main

import (
	"fmt"

	"github.com/zioflow/gateway/cli/exit"
	"github.com/zioflow/gateway/gateway"
)

// checkCommand says what is wrong with a configuration, without serving it.
type checkCommand struct {
	File string `arg:"" help:"The configuration file."`
}

// Run reads the file, the environment, and the files that are named there, as serve does.
func (c *checkCommand) Run() error {
	if c.File == "" {
		return exit.Errorf(exit.Usage, "the file's name is empty")
	}
	parsed, err := parse([]string{"serve", "--config", c.File})
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	serve := &parsed.Model.Target.Addr().Interface().(*cli).Serve
	if err := serve.reading.Locate(gateway.Check(serve.Config())); err != nil {
		return exit.With(exit.Usage, err)
	}
	_, err = fmt.Printf("%s: nothing is wrong with it\n", c.File)
	return err
}
