package settings

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v4"

	"github.com/zioflow/gateway/internal/yamlfile"
)

// Reading is what was read once: the options of `gateway serve`, and where each comes
// from. It has to be bound to the parser of the command line. It is not for concurrent use.
type Reading struct {
	document *yamlfile.Document // nil without a file
	options  map[string]option
	names    []string // of options, in the order of their declaration
}

// option is one option as it was given.
type option struct {
	flag *kong.Flag
	// text tells whether it has changed.
	text string
	// source is where it comes from, in words; empty for the default.
	source string
	// live options can be changed by a reload; the tag `reload` marks them.
	live bool
}

// Finish takes note of what a parser has read, and refuses what makes no sense as a
// whole. It is called once.
func (r *Reading) Finish(ctx *kong.Context, s *Serve) error {
	r.options = map[string]option{}
	for _, flag := range ctx.Selected().Flags {
		if isSetting(flag) {
			r.names = append(r.names, flag.Name)
			r.options[flag.Name] = option{flag, fmt.Sprint(shown(flag)), r.source(ctx, flag), flag.Tag.Has("reload")}
		}
	}
	if err := CheckEnvironment(ctx.Model); err != nil {
		return err
	}
	return r.Locate(s.validate())
}

// Names are the options, in the order of their declaration.
func (r *Reading) Names() []string { return slices.Clone(r.names) }

// shown is a flag's value for everybody's eyes: without a password in a URL.
func shown(flag *kong.Flag) any {
	value := flag.Target.Interface()
	if text, ok := value.(string); ok && flag.Name == "otlp-endpoint" && text != "" {
		return withoutPassword(text)
	}
	return value
}

// validate names the option that makes no sense.
func (s *Serve) validate() error {
	c := s.Config()
	if err := c.Validate(); err != nil {
		return err
	}
	if len(c.Sockets) == 0 && !anyAddress(slices.Concat(s.ZMQServer, s.ZMQRouter, s.GRPC, []string{s.HTTP})) {
		return errors.New("--grpc, --zmq-server, --zmq-router and --http are all none: nobody could reach the gateway")
	}
	return nil
}

func anyAddress(addresses []string) bool {
	return slices.ContainsFunc(addresses, func(a string) bool { return a != "none" && a != "" })
}

// source is where a flag's value comes from, in words; empty for the default.
func (r *Reading) source(ctx *kong.Context, flag *kong.Flag) string {
	for _, p := range ctx.Path {
		if p.Flag == flag && !p.Resolved {
			return "--" + flag.Name
		}
	}
	if name, set := variable(flag); set {
		return name
	}
	if n := r.node(flag.Name); n != nil {
		return fmt.Sprintf("%s:%d", r.document.Name(), n.Line)
	}
	return ""
}

// node is where an option, or what a path below it leads to, stands in the file; nil if it
// does not.
func (r *Reading) node(path string) *yaml.Node {
	if r.document == nil {
		return nil
	}
	return r.document.Find(path)
}

// Locate adds to an error of the gateway's, which begins with an option's name, where that
// option was set; nil for nil.
func (r *Reading) Locate(err error) error {
	if err == nil {
		return nil
	}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		return r.locateAll(several.Unwrap())
	}
	path := yamlfile.PathOf(err.Error())
	o, there := r.options[path[:len(path)-len(strings.TrimLeft(path, nameLetters))]]
	if !there || o.source == "" || strings.HasPrefix(o.source, "--") {
		return err
	}
	if strings.HasPrefix(o.source, Prefix) {
		return fmt.Errorf("%s: %w", o.source, err)
	}
	n := r.node(path)
	if n.Kind == yaml.SequenceNode { // of several values, the one that is named
		for _, item := range n.Content {
			if item.Kind == yaml.ScalarNode && item.Value != "" && strings.Contains(err.Error(), item.Value) {
				n = item
			}
		}
	}
	return r.document.At(n, hintAt(err))
}

const nameLetters = "abcdefghijklmnopqrstuvwxyz0123456789-"

// locateAll does so with each of several.
func (r *Reading) locateAll(errs []error) error {
	var placed yamlfile.Problems
	everywhere := true
	for i, err := range errs {
		errs[i] = r.Locate(err)
		if several, ok := errors.AsType[yamlfile.Problems](errs[i]); ok {
			placed = append(placed, several...)
		} else if one, ok := errors.AsType[*yamlfile.Problem](errs[i]); ok && one.Error() == errs[i].Error() {
			placed = append(placed, one)
		} else {
			everywhere = false
		}
	}
	if !everywhere {
		return errors.Join(errs...)
	}
	return placed.Err()
}

// Take tells which options of the next reading differ from those in force, and has those
// that a reload can change be in force, with their places.
func (r *Reading) Take(next *Reading) (changes, needRestart []string) {
	for _, name := range slices.Sorted(maps.Keys(next.options)) {
		was, is := r.options[name], next.options[name]
		difference := fmt.Sprintf("%s: %s, was %s", name, is.text, was.text)
		switch {
		case was.text == is.text:
		case is.live:
			changes = append(changes, difference)
			r.options[name] = is
		default:
			needRestart = append(needRestart, difference)
		}
	}
	return changes, needRestart
}
