package routes

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Fields reads a mapping of a configuration file or of the contract, key by key. It keeps
// the first thing that is wrong, which Done returns.
type Fields struct {
	values map[string]any
	err    error
}

// NewFields reads the value of a key. An error is that it is no mapping.
func NewFields(value any) (*Fields, error) {
	values, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("want keys with values")
	}
	return &Fields{values: maps.Clone(values)}, nil
}

// Rest is what nobody has asked for; it is done with then.
func (f *Fields) Rest() map[string]any {
	rest := f.values
	f.values = nil
	return rest
}

// Done returns what is wrong, as a *FieldError; a key that nobody has asked for is, before
// all else: it may be a slip of another, which is missing then.
func (f *Fields) Done() error {
	if keys := slices.Sorted(maps.Keys(f.values)); len(keys) > 0 {
		return wrong(keys[0], "is not known here")
	}
	return f.err
}

// Wrong takes note that a key's value is wrong in that way, unless something was before.
func (f *Fields) Wrong(key, format string, args ...any) {
	if f.err == nil {
		f.err = wrong(key, format, args...)
	}
}

// take returns the value of a key, which is done with then.
func (f *Fields) take(key string) (value any, found bool) {
	value, found = f.values[key]
	delete(f.values, key)
	if found && value == nil {
		f.Wrong(key, "has no value")
		return nil, false
	}
	return value, found
}

// Text returns a text; empty where the key is missing.
func (f *Fields) Text(key string) string {
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
	f.Wrong(key, "is %v, want a text", value)
	return ""
}

// Required is Text for a key that must be there.
func (f *Fields) Required(key string) string {
	text := f.Text(key)
	if text == "" {
		f.Wrong(key, "is missing")
	}
	return text
}

// Texts returns a list of texts; numbers stand for their text.
func (f *Fields) Texts(key string) []string {
	value, found := f.take(key)
	if !found {
		return nil
	}
	items, ok := value.([]any)
	if !ok {
		f.Wrong(key, "is %v, want a list", value)
		return nil
	}
	texts := make([]string, len(items))
	for i, item := range items {
		switch item.(type) {
		case string, bool, int, int64, uint64, float64:
			texts[i] = fmt.Sprint(item)
		default:
			f.Wrong(fmt.Sprintf("%s[%d]", key, i), "is %v, want a text", item)
		}
	}
	return texts
}

// Integer returns a whole number in those bounds; 0 where the key is missing.
func (f *Fields) Integer(key string, least, most int64) int64 {
	value, found := f.take(key)
	if !found {
		return 0
	}
	var n int64
	switch v := value.(type) {
	case int:
		n = int64(v)
	case int64:
		n = v
	case uint64:
		n = int64(min(v, 1<<63-1))
	default:
		f.Wrong(key, "is %v, want a whole number", value)
		return 0
	}
	if n < least || n > most {
		f.Wrong(key, "is %v, want %d to %d", value, least, most)
		return 0
	}
	return n
}

// Duration returns a duration such as 10s; 0 where the key is missing.
func (f *Fields) Duration(key string) time.Duration {
	value, found := f.take(key)
	if !found {
		return 0
	}
	d, err := time.ParseDuration(fmt.Sprint(value))
	if err != nil {
		f.Wrong(key, "is %v, want a duration such as 10s", value)
	}
	return d
}

// Rules returns a ruleset's text: given as such, or as a list.
func (f *Fields) Rules(key string) string {
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
	f.Wrong(key, "is %v, want a list of rules, or the text of one", value)
	return ""
}
