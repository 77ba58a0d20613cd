// Package routes makes the broker's routes from the words in which operators
// write them: those of the configuration file and of AddRoute are the same.
package routes

import (
	"context"
	"fmt"

	"github.com/zioflow/gateway/broker/match"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/routing"
)

// maxName bounds the names of routes and listeners, in bytes.
const maxName = 128

// Spec is a route in words.
type Spec struct {
	Name string
	// Match is a CEL expression; empty for all BOTs.
	Match string
	// Rules is a ruleset of ZIO's, in JSON or Jsonnet; RulesFile names a file with
	// one. At most one of Match, Rules and RulesFile is set.
	Rules, RulesFile string
	Priority         int32
	MaxCredit        int64
	// Factory describes what finds the handlers.
	Factory Description
}

// Maker makes routes of the kinds that it has.
type Maker struct{ Kinds Kinds }

// Make makes a route of its description, unless the context ends before that. The
// error is a *FieldError.
func (m Maker) Make(ctx context.Context, s Spec) (routing.Route, error) {
	r := routing.Route{Name: s.Name, Priority: s.Priority, MaxCredit: s.MaxCredit}
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
	r.Factory, err = m.Kinds.factory(s.Name, s.Factory)
	return r, err
}

// match compiles what the route takes; nil for every BOT.
func (s Spec) match(ctx context.Context) (matching.Match, error) {
	given := 0
	for _, text := range []string{s.Match, s.Rules, s.RulesFile} {
		if text != "" {
			given++
		}
	}
	var (
		field    string
		compiled matching.Match
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
		return nil, &FieldError{Field: field, Err: err}
	}
	return compiled, nil
}

// SpecOf describes a route as it was made. The text of a rules file stands in
// Rules. A listeners' own route has their expressions as Match, and their name
// as that of their factory.
func (m Maker) SpecOf(r routing.Route) Spec {
	s := Spec{Name: r.Name, Priority: r.Priority, MaxCredit: r.MaxCredit, Factory: m.Kinds.describe(r.Factory)}
	switch text := r.Match.(type) {
	case *match.Rules:
		s.Rules = text.String()
	case fmt.Stringer:
		s.Match = text.String()
	}
	return s
}
