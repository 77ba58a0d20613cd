package zio

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// reader reads a JSON value whose grammar members has checked before, so that it
// need not look at it again.
type reader struct{ members }

// value reads one value that lies so deep within others.
func (r *reader) value(depth int) (any, Unread) {
	switch c := r.text[r.pos]; c {
	case '"':
		raw, _ := r.str()
		value, broken := meaning(raw)
		if broken {
			return nil, UnreadSurrogate
		}
		return value, ""
	case '{', '[':
		if depth == MaxDepth {
			return nil, UnreadDeep
		}
		r.pos++
		r.space()
		if c == '{' {
			return r.object(depth + 1)
		}
		return r.array(depth + 1)
	}
	for _, w := range [...]struct {
		word   string
		value  any
		unread Unread
	}{
		{"true", true, ""}, {"false", false, ""}, {"null", nil, ""},
		{"NaN", nil, UnreadNotJSON}, {"Infinity", nil, UnreadNotJSON}, {"-Infinity", nil, UnreadNotJSON},
	} {
		if r.word(w.word) {
			return w.value, w.unread
		}
	}
	start := r.pos
	r.number()
	return readNumber(string(r.text[start:r.pos]))
}

// object reads an object behind its brace. A key that stands there twice leaves
// open which value counts.
func (r *reader) object(depth int) (any, Unread) {
	object := map[string]any{}
	for !r.take('}') {
		r.take(',')
		r.space()
		raw, _ := r.str()
		key, broken := meaning(raw)
		if broken {
			return nil, UnreadSurrogate
		}
		if _, twice := object[key]; twice {
			return nil, UnreadTwice
		}
		r.space()
		r.take(':')
		r.space()
		value, unread := r.value(depth)
		if unread != "" {
			return nil, unread
		}
		object[key] = value
		r.space()
	}
	return object, ""
}

// array reads an array behind its bracket.
func (r *reader) array(depth int) (any, Unread) {
	array := []any{}
	for !r.take(']') {
		r.take(',')
		r.space()
		value, unread := r.value(depth)
		if unread != "" {
			return nil, unread
		}
		array = append(array, value)
		r.space()
	}
	return array, ""
}

// readNumber is an int64 where that holds it, or else a uint64, or else the nearest
// double.
func readNumber(digits string) (any, Unread) {
	if i, err := strconv.ParseInt(digits, 10, 64); err == nil {
		return i, ""
	}
	if u, err := strconv.ParseUint(digits, 10, 64); err == nil {
		return u, ""
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return nil, UnreadNumber
	}
	return f, ""
}

// meaning is what the raw text of a string means. It is broken if it has a lone
// surrogate, in the place of which stands U+FFFD.
func meaning(raw []byte) (meant string, broken bool) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw), false
	}
	meant = unescape(raw)
	// A replacement character may have been meant; then it was written as such.
	return meant, strings.ContainsRune(meant, utf8.RuneError) && hasLoneSurrogate(raw)
}

// hasLoneSurrogate looks for a \u escape of one half of a pair without the other.
func hasLoneSurrogate(raw []byte) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++ // what is escaped
		if raw[i] != 'u' {
			continue
		}
		unit := unitAt(raw[i+1:])
		i += 4
		switch {
		case unit < 0xD800 || unit > 0xDFFF:
		case unit < 0xDC00 && len(raw) > i+6 && raw[i+1] == '\\' && raw[i+2] == 'u' && isLowSurrogate(unitAt(raw[i+3:])):
			i += 6
		default:
			return true
		}
	}
	return false
}

func isLowSurrogate(unit uint64) bool { return unit >= 0xDC00 && unit <= 0xDFFF }

// unitAt is the value of four hexadecimal digits.
func unitAt(digits []byte) uint64 {
	unit, err := strconv.ParseUint(string(digits[:4]), 16, 16)
	if err != nil { // cannot be: members has checked them
		return 0
	}
	return unit
}
