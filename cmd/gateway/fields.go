package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/durationpb"
)

// fields reads a mapping of a configuration file, key by key. It keeps the first
// thing that is wrong; done returns it.
type fields struct {
	path   string // of the mapping, for errors
	values map[string]any
	err    error
}

func newFields(path string, value any) *fields {
	values, ok := value.(map[string]any)
	f := &fields{path: path, values: maps.Clone(values)}
	if !ok {
		f.err = fmt.Errorf("%s: want keys with values", path)
	}
	return f
}

// done returns what is wrong; a key that nobody has asked for is.
func (f *fields) done() error {
	if keys := slices.Sorted(maps.Keys(f.values)); len(keys) > 0 {
		f.wrong(keys[0], "is not known here")
	}
	return f.err
}

func (f *fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

func (f *fields) wrong(key, format string, args ...any) {
	f.fail(fmt.Errorf("%s.%s: %s", f.path, key, fmt.Sprintf(format, args...)))
}

// take returns the value of a key, which is done with then.
func (f *fields) take(key string) (value any, found bool) {
	value, found = f.values[key]
	delete(f.values, key)
	if found && value == nil {
		f.wrong(key, "has no value")
		return nil, false
	}
	return value, found
}

// text returns a text; empty where the key is missing.
func (f *fields) text(key string) string {
	value, found := f.take(key)
	if !found {
		return ""
	}
	switch v := value.(type) {
	case string:
		return v
	case bool: // an expression may be no more than that
		return fmt.Sprint(v)
	}
	f.wrong(key, "is %v, want a text", value)
	return ""
}

func (f *fields) required(key string) string {
	text := f.text(key)
	if text == "" {
		f.wrong(key, "is missing")
	}
	return text
}

// texts returns a list of texts; numbers stand for their text.
func (f *fields) texts(key string) []string {
	value, found := f.take(key)
	if !found {
		return nil
	}
	items, ok := value.([]any)
	if !ok {
		f.wrong(key, "is %v, want a list", value)
		return nil
	}
	texts := make([]string, len(items))
	for i, item := range items {
		switch item.(type) {
		case string, bool, int64, uint64, float64:
			texts[i] = fmt.Sprint(item)
		default:
			f.wrong(fmt.Sprintf("%s[%d]", key, i), "is %v, want a text", item)
		}
	}
	return texts
}

// integer returns a whole number in those bounds; 0 where the key is missing.
func (f *fields) integer(key string, least, most int64) int64 {
	value, found := f.take(key)
	if !found {
		return 0
	}
	var n int64
	switch v := value.(type) {
	case int64:
		n = v
	case uint64:
		n = int64(min(v, 1<<63-1))
	default:
		f.wrong(key, "is %v, want a whole number", value)
		return 0
	}
	if n < least || n > most {
		f.wrong(key, "is %v, want %d to %d", value, least, most)
		return 0
	}
	return n
}

// duration returns a duration such as 10s; 0 where the key is missing.
func (f *fields) duration(key string) time.Duration {
	value, found := f.take(key)
	if !found {
		return 0
	}
	d, err := time.ParseDuration(fmt.Sprint(value))
	if err != nil {
		f.wrong(key, "is %v, want a duration such as 10s", value)
	}
	return d
}

// rules returns a ruleset's text: given as such, or as a list.
func (f *fields) rules(key string) string {
	value, found := f.take(key)
	if !found {
		return ""
	}
	switch v := value.(type) {
	case string:
		return v
	case []any:
		text, err := json.Marshal(v)
		if err == nil {
			return string(text)
		}
	}
	f.wrong(key, "is %v, want a list of rules, or the text of one", value)
	return ""
}

// section returns a mapping; nil where the key is missing.
func (f *fields) section(key string) *fields {
	value, found := f.take(key)
	if !found {
		return nil
	}
	return newFields(f.path+"."+key, value)
}

// message reads a message of the contract that has fields of the kinds which descriptions
// of factories have (see TestDescriptionsCanBeRead).
func (f *fields) message(d protoreflect.MessageDescriptor) proto.Message {
	message := dynamic(d)
	for i := range d.Fields().Len() {
		field := d.Fields().Get(i)
		key := string(field.Name())
		if _, set := f.values[key]; set {
			f.set(message, field, key)
		}
	}
	return message.Interface()
}

// dynamic is an empty message of the type that the contract's generated code has for it.
func dynamic(d protoreflect.MessageDescriptor) protoreflect.Message {
	t, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		panic(err) // it is linked in
	}
	return t.New()
}

// set reads the value of a key into a field.
func (f *fields) set(message protoreflect.Message, field protoreflect.FieldDescriptor, key string) {
	switch {
	case field.IsList() && field.Kind() == protoreflect.StringKind:
		list := message.Mutable(field).List()
		for _, text := range f.texts(key) {
			list.Append(protoreflect.ValueOfString(text))
		}
	case field.Kind() == protoreflect.StringKind:
		message.Set(field, protoreflect.ValueOfString(f.text(key)))
	case field.Kind() == protoreflect.Uint32Kind:
		message.Set(field, protoreflect.ValueOfUint32(uint32(f.integer(key, 0, 1<<31-1))))
	case field.Kind() == protoreflect.MessageKind && field.Message().FullName() == duration.FullName():
		message.Set(field, protoreflect.ValueOfMessage(durationpb.New(f.duration(key)).ProtoReflect()))
	default:
		panic(fmt.Sprintf("a %v in a description cannot be read", field.Kind()))
	}
}

var duration = (*durationpb.Duration)(nil).ProtoReflect().Descriptor()
