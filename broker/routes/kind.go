package routes

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/routing"
)

// Description is what finds a route's handlers, as it is written in the configuration file
// and the contract: the name of a kind, and its fields by their names. Numbers are int64,
// lists []any, durations texts such as "10s".
type Description map[string]any

// Kind is a way to find handlers. A new one is a package of its own, a member of the
// contract's oneof Route.factory with the same name and fields, and its place among the
// Kinds of the gateway.
type Kind struct {
	// Name is the key of its descriptions.
	Name string
	// Make makes the factory of a route of that name. An error that concerns a field is a
	// *FieldError. It has no effect: it is called for every check of the routes as well,
	// and a route that is replaced has another factory. What a kind remembers it remembers
	// by the route's name.
	Make func(route string, fields *Fields) (routing.Factory, error)
	// Describe is the inverse: the fields, without those that are not set; false for a
	// factory of another kind.
	Describe func(routing.Factory) (fields map[string]any, ok bool)
	// RunsCommands: whoever may add such a route may run any program as the gateway's
	// user.
	RunsCommands bool
	// Close returns when nothing works for flows any more, or with the context's error; nil
	// where nothing does. The broker has been closed, which ends every flow.
	Close func(context.Context) error
}

// Kinds are those that a gateway has.
type Kinds []Kind

// RunsCommands tells whether a route that is described so runs commands.
func (k Kinds) RunsCommands(d Description) bool {
	return slices.ContainsFunc(k, func(kind Kind) bool { return kind.RunsCommands && d[kind.Name] != nil })
}

// Described is a factory of another gateway: it is of no kind of this one.
type Described interface {
	// Description is what it is there.
	Description() Description
}

// describe is what describes the factory; nil if it is of no kind.
func (k Kinds) describe(f routing.Factory) Description {
	if far, ok := f.(Described); ok {
		return far.Description()
	}
	for _, kind := range k {
		if fields, ok := kind.Describe(f); ok {
			return Description{kind.Name: fields}
		}
	}
	return nil
}

// factory makes the factory that is described.
func (k Kinds) factory(route string, d Description) (routing.Factory, error) {
	var chosen *Kind
	for _, name := range slices.Sorted(maps.Keys(d)) {
		i := slices.IndexFunc(k, func(kind Kind) bool { return kind.Name == name })
		switch {
		case i < 0:
			return nil, wrong(name, "is not known here")
		case chosen != nil:
			return nil, wrong("factory", "one of %s must be set, not two", k.names())
		}
		chosen = &k[i]
	}
	if chosen == nil {
		return nil, wrong("factory", "one of %s must be set", k.names())
	}
	fields, err := NewFields(d[chosen.Name])
	if err != nil {
		return nil, &FieldError{Field: chosen.Name, Err: err}
	}
	f, err := chosen.Make(route, fields)
	if field, ok := errors.AsType[*FieldError](err); ok {
		return nil, &FieldError{Field: chosen.Name + "." + field.Field, Err: field.Err}
	}
	if err != nil {
		return nil, &FieldError{Field: chosen.Name, Err: err}
	}
	return f, nil
}

// names is the kinds in words.
func (k Kinds) names() string {
	names := make([]string, len(k))
	for i, kind := range k {
		names[i] = kind.Name
	}
	if last := len(names) - 1; last > 0 {
		return strings.Join(names[:last], ", ") + " and " + names[last]
	}
	return strings.Join(names, "")
}

// Listener is the kind of the factories that offer flows to the listeners of a name.
func Listener() Kind {
	return Kind{
		Name: "listener",
		Make: func(_ string, f *Fields) (routing.Factory, error) {
			name := f.Required("name")
			if n := len(name); n > maxName {
				f.Wrong("name", "has %d bytes, %d are allowed", n, maxName)
			}
			return listeners.ToListeners{Name: name}, f.Done()
		},
		Describe: func(f routing.Factory) (map[string]any, bool) {
			to, ok := f.(listeners.ToListeners)
			return map[string]any{"name": to.Name}, ok
		},
	}
}

// FieldError is routing.FieldError.
type FieldError = routing.FieldError

func wrong(field, format string, args ...any) error {
	return routing.WrongField(field, format, args...)
}
