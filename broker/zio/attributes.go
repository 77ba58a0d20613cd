package zio

import (
	"bytes"
	"encoding/json"
)

// Attributes is a label as a map. Integers are int64 or, beyond that, uint64. A
// text that is no JSON object is the empty map.
func Attributes(label []byte) map[string]any {
	decoder := json.NewDecoder(bytes.NewReader(label))
	decoder.UseNumber()
	var attributes map[string]any
	if err := decoder.Decode(&attributes); err != nil {
		return map[string]any{}
	}
	for key, value := range attributes {
		attributes[key] = plain(value)
	}
	return attributes
}

// plain turns the json.Numbers in a value into int64, uint64 or float64.
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
	if err := json.Unmarshal([]byte(n), &u); err == nil {
		return u
	}
	f, err := n.Float64()
	if err != nil {
		return string(n) // beyond every number that can be compared
	}
	return f
}
