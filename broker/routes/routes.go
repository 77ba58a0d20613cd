// Package routes makes the broker's routes from the words in which operators
// write them: those of the configuration file and of AddRoute are the same.
package routes

import (
	"context"
	"errors"
	"fmt"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/builtin"
	"github.com/zioflow/gateway/broker/connect"
	"github.com/zioflow/gateway/broker/match"
	"github.com/zioflow/gateway/broker/spawn"
)

// maxName bounds the names of routes and listeners, in bytes.
const maxName = 128

// Spec is a route in words. Exactly one of Builtin, Listener, Exec and Connect is set.
type Spec struct {
	Name string
	// Match is a CEL expression; empty for all BOTs.
	Match string
	// Rules is a ruleset of ZIO's, in JSON or Jsonnet; RulesFile names a file with
	// one. At most one of Match, Rules and RulesFile is set.
	Rules, RulesFile string
	Priority         int32
	MaxCredit        int64
	// Builtin is a built-in handler's name: "dump" or "generate".
	Builtin string
	// Listener is the name of listeners.
	Listener string
	// Exec is the command to start for each flow.
	Exec *spawn.Command
	// Connect is where a handler is that binds a SERVER of its own.
	Connect *connect.Target
}

// FieldError says what is wrong with a field of a Spec, by the field's name in
// the configuration and the contract: "match", "exec.max_time".
type FieldError struct {
	Field string
	Err   error
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap answers what is wrong.
func (e *FieldError) Unwrap() error { return e.Err }

func wrong(field, format string, args ...any) error {
	return &FieldError{field, fmt.Errorf(format, args...)}
}

// Maker makes routes. A factory whose maker is nil can't be had.
type Maker struct {
	Builtin   *builtin.Handlers
	Spawner   *spawn.Spawner
	Connector *connect.Connector
}

// Make makes a route of its description, unless the context ends before that. The
// error is a *FieldError.
func (m Maker) Make(ctx context.Context, s Spec) (broker.Route, error) {
	r := broker.Route{Name: s.Name, Priority: s.Priority, MaxCredit: s.MaxCredit}
	switch {
	case s.Name == "":
		return r, wrong("name", "is missing")
	case len(s.Name) > maxName:
		return r, wrong("name", "has %d bytes, %d are allowed", len(s.Name), maxName)
	case s.MaxCredit < 0:
		return r, wrong("max_credit", "is %d, want 0 or more", s.MaxCredit)
	}
	var err error
	if r.Match, err = s.match(ctx); err != nil {
		return r, err
	}
	r.Factory, err = m.factory(s)
	return r, err
}

// match compiles what the route takes; nil for every BOT.
func (s Spec) match(ctx context.Context) (broker.Match, error) {
	given := 0
	for _, text := range []string{s.Match, s.Rules, s.RulesFile} {
		if text != "" {
			given++
		}
	}
	var (
		field    string
		compiled broker.Match
		err      error
	)
	switch {
	case given > 1:
		return nil, wrong("match", "only one of match, rules and rules_file can be set")
	case s.Match != "":
		field = "match"
		compiled, err = match.Compile(s.Match)
	case s.Rules != "":
		field = "rules"
		compiled, err = match.ParseRules(ctx, s.Rules)
	case s.RulesFile != "":
		field = "rules_file"
		compiled, err = match.ReadRules(ctx, s.RulesFile)
	}
	if err != nil {
		return nil, &FieldError{field, err}
	}
	return compiled, nil
}

func (m Maker) factory(s Spec) (broker.Factory, error) {
	given := 0
	for _, set := range []bool{s.Builtin != "", s.Listener != "", s.Exec != nil, s.Connect != nil} {
		if set {
			given++
		}
	}
	switch {
	case given != 1:
		return nil, wrong("factory", "one of builtin, listener, exec and connect must be set")
	case s.Listener != "":
		if len(s.Listener) > maxName {
			return nil, wrong("listener.name", "has %d bytes, %d are allowed", len(s.Listener), maxName)
		}
		return broker.ToListeners{Name: s.Listener}, nil
	case s.Builtin != "":
		if m.Builtin == nil {
			return nil, wrong("builtin", "this gateway has no built-in handlers")
		}
		factory := m.Builtin.Named(s.Builtin)
		if factory == nil {
			return nil, wrong("builtin.name", "is %q, want dump or generate", s.Builtin)
		}
		return factory, nil
	case s.Connect != nil:
		return m.connect(s)
	default:
		return m.exec(s)
	}
}

func (m Maker) exec(s Spec) (broker.Factory, error) {
	if m.Spawner == nil {
		return nil, wrong("exec", "this gateway starts no commands")
	}
	factory, err := m.Spawner.Factory(s.Name, *s.Exec)
	if err != nil {
		if field, ok := errors.AsType[*spawn.FieldError](err); ok {
			return nil, wrong("exec."+field.Field, "%s", field.Problem)
		}
		return nil, &FieldError{"exec", err}
	}
	return factory, nil
}

func (m Maker) connect(s Spec) (broker.Factory, error) {
	if m.Connector == nil {
		return nil, wrong("connect", "this gateway connects to no handlers")
	}
	factory, err := m.Connector.Factory(s.Name, *s.Connect)
	if err != nil {
		if field, ok := errors.AsType[*connect.FieldError](err); ok {
			return nil, wrong("connect."+field.Field, "%s", field.Problem)
		}
		return nil, &FieldError{"connect", err}
	}
	return factory, nil
}

// SpecOf describes a route as it was made. The text of a rules file stands in
// Rules. A listeners' own route has their expressions as Match, and their name
// as Listener.
func SpecOf(r broker.Route) Spec {
	s := Spec{Name: r.Name, Priority: r.Priority, MaxCredit: r.MaxCredit}
	switch m := r.Match.(type) {
	case *match.Rules:
		s.Rules = m.String()
	case fmt.Stringer:
		s.Match = m.String()
	}
	switch f := r.Factory.(type) {
	case broker.ToListeners:
		s.Listener = f.Name
	case *spawn.Factory:
		command := f.Command()
		s.Exec = &command
	case *connect.Factory:
		target := f.Target()
		s.Connect = &target
	default:
		s.Builtin = builtin.NameOf(f)
	}
	return s
}
