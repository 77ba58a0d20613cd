package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/alecthomas/kong"

	"github.com/zioflow/gateway/gateway/config"
)

// option is one option of `gateway serve` as it was given.
type option struct {
	value string
	// live options can be changed by a reload; the tag `reload` marks them.
	live bool
}

// AfterApply is called by kong when everything is read. It keeps the options by
// name, so that a reload can tell which have changed.
func (c *serveCommand) AfterApply(ctx *kong.Context) error {
	c.options = map[string]option{}
	for _, flag := range ctx.Selected().Flags {
		c.options[flag.Name] = option{fmt.Sprint(flag.Target.Interface()), flag.Tag.Has("reload")}
	}
	return nil
}

// reread returns what the command line, the environment and the file say now.
func (c *serveCommand) reread() (*config.Revision, error) {
	parsed, err := parse(c.arguments)
	if err != nil {
		return nil, err
	}
	next := &parsed.Model.Target.Addr().Interface().(*cli).Serve
	return &config.Revision{
		Config: next.config(),
		Taken:  func() (changes, needRestart []string) { return c.take(next.options) },
	}, nil
}

// take tells which options differ from those in force, and has those that a reload can
// change be in force. The gateway calls it for one reload at a time.
func (c *serveCommand) take(next map[string]option) (changes, needRestart []string) {
	for _, name := range slices.Sorted(maps.Keys(next)) {
		was, is := c.options[name].value, next[name].value
		switch {
		case was == is:
		case next[name].live:
			changes = append(changes, fmt.Sprintf("%s: %s, was %s", name, is, was))
			c.options[name] = next[name]
		default:
			needRestart = append(needRestart, fmt.Sprintf("%s: %s, was %s", name, is, was))
		}
	}
	return changes, needRestart
}
