package zioflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/structpb"
)

// reserved are the keys of a BOT's label that are the protocol's.
var reserved = [...]string{"flow", "direction", "credit", "cid"}

// checkLabel tells what is wrong with a label, before it costs the flow.
func checkLabel(label []byte) error {
	text := bytes.TrimLeft(label, " \t\r\n")
	if len(text) == 0 || text[0] != '{' || !utf8.Valid(text) || !json.Valid(text) {
		return fmt.Errorf("%w: label is not a JSON object in UTF-8: %.40q", ErrInvalid, label)
	}
	return nil
}

// membersOf are a label's members, with the text of their values; none of an empty one.
func membersOf(label []byte) (map[string]json.RawMessage, error) {
	members := map[string]json.RawMessage{}
	if len(label) == 0 {
		return members, nil
	}
	if err := checkLabel(label); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(label, &members); err != nil {
		return nil, fmt.Errorf("%w: label: %w", ErrInvalid, err)
	}
	return members, nil
}

// mergeLabel is a BOT's label with attributes merged over it, and without the
// protocol's keys. A label that needs no change keeps its text; any other keeps
// the text of its values.
func mergeLabel(label []byte, attributes map[string]any) (string, error) {
	members, err := membersOf(label)
	if err != nil {
		return "", err
	}
	changed := len(attributes) > 0
	for _, key := range reserved {
		if _, ok := attributes[key]; ok {
			return "", fmt.Errorf("%w: attribute %s is the protocol's", ErrInvalid, key)
		}
		if _, ok := members[key]; ok {
			delete(members, key)
			changed = true
		}
	}
	if !changed {
		return string(label), nil
	}
	for key, value := range attributes {
		text, err := encodeJSON(value)
		if err != nil {
			return "", fmt.Errorf("%w: attribute %s: %w", ErrInvalid, key, err)
		}
		members[key] = text
	}
	text, err := encodeJSON(members)
	return string(text), err
}

// withMember is a DAT's label with one member set, and the text of all others as it was.
func withMember(label []byte, key string, value any) ([]byte, error) {
	members, err := membersOf(label)
	if err != nil {
		return nil, err
	}
	text, err := encodeJSON(value)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, key, err)
	}
	members[key] = text
	return encodeJSON(members)
}

// encodeJSON is json.Marshal, but leaves <, > and & readable.
func encodeJSON(value any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// attributesOf is what a BOT's label says, the protocol's keys left out; or what the
// gateway has read of it, where not all of it can be.
func attributesOf(label string, read *structpb.Struct) map[string]any {
	decoder := json.NewDecoder(bytes.NewReader([]byte(label)))
	decoder.UseNumber()
	attributes := map[string]any{}
	if err := decoder.Decode(&attributes); err != nil {
		return read.AsMap() // numbers are doubles
	}
	for _, key := range reserved {
		delete(attributes, key)
	}
	for key, value := range attributes {
		attributes[key] = plain(value)
	}
	return attributes
}

// plain turns the json.Numbers in a value into the numbers of Go that hold
// them exactly, or at least to a float64's precision.
func plain(value any) any {
	switch v := value.(type) {
	case json.Number:
		return number(v)
	case map[string]any:
		for key, inner := range v {
			v[key] = plain(inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = plain(inner)
		}
	}
	return value
}

func number(n json.Number) any {
	if i, err := n.Int64(); err == nil {
		return i
	}
	var u uint64
	if json.Unmarshal([]byte(n), &u) == nil {
		return u
	}
	isInteger := !bytes.ContainsAny([]byte(n), ".eE")
	if f, err := n.Float64(); err == nil && !isInteger {
		return f
	}
	return n
}
