package match

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/zioflow/gateway/broker/match/jsonnet"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/zio"
)

// Rules is a ruleset of ZIO's: it takes a BOT if one of its rules is true. It
// implements matching.Match and matching.Explainer, and may be used concurrently.
type Rules struct {
	text  string
	rules []rule
}

// rule is one item of a ruleset.
type rule struct {
	test expression
	attr map[string]any
}

// ignoredKeys are those of a ZIO rule that concern its file server only. They
// may be there, so that one file serves both.
var ignoredKeys = []string{"rw", "filepat", "grouppat"}

// ParseRules reads a ruleset: JSON or Jsonnet text, a list of objects with
// `rule`, an S-expression, and `attr`, attributes that the rule sees in the
// place of the BOT's own. Imports are refused. An error names rule, position and
// cause.
//
// Jsonnet is evaluated by a process of its own, within bounds, and until the
// context ends.
func ParseRules(ctx context.Context, text string) (*Rules, error) {
	return parseRules(ctx, jsonnet.Source{Name: "rules", Text: text})
}

// ReadRules reads a ruleset as ParseRules does, from a file. It may import files
// that are in the same folder, or below it; a link that leads out of it is
// refused.
func ReadRules(ctx context.Context, file string) (*Rules, error) {
	folder, name := filepath.Dir(file), filepath.Base(file)
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	text, err := jsonnet.ReadFile(root, name)
	if err = errors.Join(err, root.Close()); err != nil {
		return nil, err
	}
	rules, err := parseRules(ctx, jsonnet.Source{Name: name, Text: text, Folder: folder})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return rules, nil
}

// evaluate is a text as JSON. One that is JSON already stays as it is, so that
// its integers keep all their digits, which Jsonnet would round.
func evaluate(ctx context.Context, source jsonnet.Source) ([]byte, error) {
	if json.Valid([]byte(source.Text)) {
		return []byte(source.Text), nil
	}
	return jsonnet.Evaluate(ctx, source)
}

func parseRules(ctx context.Context, source jsonnet.Source) (*Rules, error) {
	evaluated, err := evaluate(ctx, source)
	if err != nil {
		return nil, err
	}
	var items []json.RawMessage
	if err := json.Unmarshal(evaluated, &items); err != nil {
		return nil, errors.New("a ruleset is a list of rules")
	}
	if len(items) == 0 {
		return nil, errors.New("there is no rule")
	}
	r := &Rules{text: source.Text, rules: make([]rule, len(items))}
	for i, item := range items {
		if r.rules[i], err = parseItem(item); err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
	}
	return r, nil
}

func parseItem(item json.RawMessage) (rule, error) {
	decoder := json.NewDecoder(bytes.NewReader(item))
	decoder.DisallowUnknownFields()
	var fields struct {
		Rule                  *string
		Attr                  json.RawMessage
		RW, FilePat, GroupPat any
	}
	if err := decoder.Decode(&fields); err != nil {
		return rule{}, fmt.Errorf("%s (want rule, attr; %s are ignored)",
			strings.TrimPrefix(err.Error(), "json: "), strings.Join(ignoredKeys, ", "))
	}
	if fields.Rule == nil {
		return rule{}, errors.New("rule is missing")
	}
	test, err := parseRule(*fields.Rule)
	if err != nil {
		return rule{}, fmt.Errorf("rule: %w", err)
	}
	attr, err := parseAttr(fields.Attr)
	return rule{test, attr}, err
}

func parseAttr(text json.RawMessage) (map[string]any, error) {
	if text == nil {
		return nil, nil
	}
	if text[0] != '{' {
		return nil, errors.New("attr: want an object")
	}
	attr := zio.Attributes(text)
	for key, value := range attr {
		if unread, is := value.(zio.Unread); is {
			return nil, fmt.Errorf("attr: %s %s", key, string(unread))
		}
	}
	return attr, nil
}

// String is the ruleset as it was given.
func (r *Rules) String() string { return r.text }

// Match implements matching.Match: whether one of the rules is true. A rule that
// can't be evaluated, for want of an attribute say, is false.
func (r *Rules) Match(v *matching.View) bool {
	_, found := r.first(v)
	return found
}

// Attr returns the attr of the first rule that is true; nil if it has none, or
// if none is true. Not to be changed.
func (r *Rules) Attr(v *matching.View) map[string]any {
	if i, found := r.first(v); found {
		return r.rules[i].attr
	}
	return nil
}

// first returns which rule is the first true one.
func (r *Rules) first(v *matching.View) (index int, found bool) {
	left := maxSpent // of all rules together
	for i := range r.rules {
		if is, err := r.rules[i].eval(v, &left); err == nil && is {
			return i, true
		}
	}
	return 0, false
}

// eval evaluates a rule over what it sees of a BOT.
func (r *rule) eval(v *matching.View, left *int) (bool, error) {
	return r.test.true(&scope{attr: r.attr, view: v, left: left})
}

// maxExplained is how many rules are explained one by one.
const maxExplained = 5

// Explain implements matching.Explainer.
func (r *Rules) Explain(v *matching.View) string {
	left := maxSpent
	var words []string
	for i := range r.rules {
		is, err := r.rules[i].eval(v, &left)
		switch {
		case err == nil && is:
			return fmt.Sprintf("rule %d is true", i+1)
		case i == maxExplained:
			words = append(words, "…")
		case i > maxExplained:
		case err != nil:
			words = append(words, fmt.Sprintf("rule %d: %v", i+1, err))
		default:
			words = append(words, fmt.Sprintf("rule %d: %s", i+1, r.rules[i].why(v)))
		}
	}
	return strings.Join(words, "; ")
}

// why says which part of a false rule is false, and what that part is about.
func (r *rule) why(v *matching.View) string {
	left := maxSpent
	s := &scope{attr: r.attr, view: v, left: &left}
	part := &r.test
	for part.every {
		for i := range part.args {
			if is, err := part.args[i].true(s); err == nil && !is {
				part = &part.args[i]
				break
			}
		}
	}
	words := cut(part.text, maxText) + " is false"
	var names []string
	part.names(&names)
	for i, name := range names[:min(len(names), maxPaths)] {
		value, defined := s.value(name)
		if !defined {
			continue
		}
		words += fmt.Sprintf("%s %s is %s", []string{":", ","}[min(i, 1)], name, shown(value))
	}
	return words
}
