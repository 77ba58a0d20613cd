package yamlfile

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/zioflow/gateway/internal/nearest"
)

// Load makes a Go value of the whole document, by yaml tags. A key that the value has no
// field for is refused. The error is all that is wrong, with its places.
func (d *Document) Load(into any) error {
	if d.top == nil {
		return nil
	}
	err := d.top.Load(into, yaml.WithKnownFields(), yaml.WithUniqueKeys(false))
	all, ok := errors.AsType[*yaml.LoadErrors](err)
	if !ok {
		if err != nil {
			return d.syntax(err)
		}
		return nil
	}
	var found Problems
	names := fieldNames(reflect.TypeOf(into), nil)
	for _, e := range all.Errors[:min(maxFound, len(all.Errors))] {
		found = append(found, d.problem(e.Mark.Line, e.Mark.Column, errors.New(plainly(e.Message, names))))
	}
	return found.Err()
}

// Value makes a Go value of a node: texts, int, float64, bool, nil, []any and
// map[string]any.
func (d *Document) Value(n *yaml.Node) (value any, err error) {
	if err := n.Load(&value, yaml.WithUniqueKeys(false)); err != nil {
		return nil, d.syntax(err)
	}
	return value, nil
}

// Strings is a scalar's text as it is written, or those of a list of scalars; an error is
// that the node is something else.
func (d *Document) Strings(n *yaml.Node) ([]string, error) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	texts := make([]string, len(items))
	for i, item := range items {
		item = behind(item)
		switch {
		case item.Kind == yaml.ScalarNode && item.ShortTag() == "!!null":
			return nil, d.At(item, errors.New("has no value"))
		case item.Kind == yaml.MappingNode:
			return nil, d.At(item, errors.New("is a mapping, want a value or a list of values"))
		case item.Kind != yaml.ScalarNode:
			return nil, d.At(item, errors.New("is a list in a list, want a value"))
		}
		texts[i] = item.Value
	}
	return texts, nil
}

var (
	unknownField = regexp.MustCompile(`^field (.*) not found in type `)
	otherType    = regexp.MustCompile("^cannot construct !!(\\w+)(?: `([^`]*)`)? into (.*)$")
)

// plainly is a message of the library in words of those who write files.
func plainly(message string, names []string) string {
	if m := unknownField.FindStringSubmatch(message); m != nil {
		return m[1] + " is not known here" + nearest.DidYouMean(m[1], names)
	}
	m := otherType.FindStringSubmatch(message)
	if m == nil {
		return message
	}
	is := map[string]string{"seq": "a list", "map": "a mapping", "null": "empty"}[m[1]]
	if is == "" {
		is = fmt.Sprintf("%q", m[2])
	}
	want := "keys with values"
	switch {
	case strings.HasPrefix(m[3], "[]"):
		want = "a list"
	case m[3] == "string":
		want = "a text"
	case strings.HasPrefix(m[3], "int") || strings.HasPrefix(m[3], "uint"):
		want = "a whole number"
	case m[3] == "bool":
		want = "true or false"
	}
	return "is " + is + ", want " + want
}

// fieldNames are the keys that a type knows anywhere.
func fieldNames(t reflect.Type, seen []reflect.Type) (names []string) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return fieldNames(t.Elem(), seen)
	case reflect.Struct:
		if slices.Contains(seen, t) {
			return nil
		}
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
			names = append(names, name)
			names = append(names, fieldNames(t.Field(i).Type, append(seen, t))...)
		}
	}
	return names
}
