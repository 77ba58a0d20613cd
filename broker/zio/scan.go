package zio

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// maxDepth is how deep a label may nest. encoding/json allows more; no label
// of use needs it.
const maxDepth = 200

// members walks the members of a JSON object, checking the text's grammar on
// the way and allocating nothing. NaN, Infinity and -Infinity are values to it:
// they are no JSON, but Python's json writes and reads them, and what stands in a
// label is the applications' own.
type members struct {
	text []byte
	pos  int
	// key and value are the present member's raw texts, the key without its
	// quotes.
	key, value []byte
	start      int // of the member, at its key's opening quote
	err        error
	state      scanState
}

type scanState uint8

const (
	beforeObject scanState = iota
	inObject
	afterObject
)

func membersOf(text []byte) members { return members{text: text} }

// next steps to the next member. It returns false after the last one and on
// an error, which it leaves in s.err.
func (s *members) next() bool {
	switch s.state {
	case beforeObject:
		if !utf8.Valid(s.text) {
			return s.fail("is not UTF-8")
		}
		s.space()
		if !s.take('{') {
			return s.fail("is not a JSON object")
		}
		s.state = inObject
		s.space()
		if s.take('}') {
			return s.finish()
		}
	case inObject:
		s.space()
		if s.take('}') {
			return s.finish()
		}
		if !s.take(',') {
			return s.fail("lacks a comma or closing brace")
		}
		s.space()
	case afterObject:
		return false
	}
	return s.member()
}

func (s *members) member() bool {
	s.start = s.pos
	key, ok := s.str()
	if !ok {
		return s.fail("lacks a key")
	}
	s.space()
	if !s.take(':') {
		return s.fail("lacks a colon")
	}
	s.space()
	from := s.pos
	if !s.skipValue(1) {
		return s.fail("has a value that is not JSON")
	}
	s.key, s.value = key, s.text[from:s.pos]
	return true
}

func (s *members) finish() bool {
	s.state = afterObject
	s.space()
	if s.pos != len(s.text) {
		return s.fail("has text after the object")
	}
	return false
}

func (s *members) fail(what string) bool {
	s.state = afterObject
	s.err = fmt.Errorf("%w: label %s (at byte %d)", ErrMalformed, what, s.pos)
	return false
}

func (s *members) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

func (s *members) take(c byte) bool {
	if s.pos < len(s.text) && s.text[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

// str steps over a string and returns what stands between its quotes.
func (s *members) str() ([]byte, bool) {
	if !s.take('"') {
		return nil, false
	}
	from := s.pos
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == '"':
			s.pos++
			return s.text[from : s.pos-1], true
		case c < ' ':
			return nil, false
		case c == '\\':
			if !s.escape() {
				return nil, false
			}
		default:
			s.pos++
		}
	}
	return nil, false
}

func (s *members) escape() bool {
	s.pos++ // the backslash
	if s.pos == len(s.text) {
		return false
	}
	c := s.text[s.pos]
	s.pos++
	if c != 'u' {
		return bytes.IndexByte([]byte(`"\/bfnrt`), c) >= 0
	}
	for range 4 {
		if s.pos == len(s.text) || !isHex(s.text[s.pos]) {
			return false
		}
		s.pos++
	}
	return true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func (s *members) skipValue(depth int) bool {
	if s.pos == len(s.text) || depth > maxDepth {
		return false
	}
	switch c := s.text[s.pos]; {
	case c == '"':
		_, ok := s.str()
		return ok
	case c == '{':
		return s.skipObject(depth)
	case c == '[':
		return s.skipArray(depth)
	case c == '-' || '0' <= c && c <= '9':
		return s.word("-Infinity") || s.number()
	default:
		return s.word("true") || s.word("false") || s.word("null") || s.word("NaN") || s.word("Infinity")
	}
}

func (s *members) skipObject(depth int) bool {
	s.pos++
	s.space()
	if s.take('}') {
		return true
	}
	for {
		s.space()
		if _, ok := s.str(); !ok {
			return false
		}
		s.space()
		if !s.take(':') {
			return false
		}
		s.space()
		if !s.skipValue(depth + 1) {
			return false
		}
		s.space()
		if s.take('}') {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

func (s *members) skipArray(depth int) bool {
	s.pos++
	s.space()
	if s.take(']') {
		return true
	}
	for {
		s.space()
		if !s.skipValue(depth + 1) {
			return false
		}
		s.space()
		if s.take(']') {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

func (s *members) word(w string) bool {
	if !bytes.HasPrefix(s.text[s.pos:], []byte(w)) {
		return false
	}
	s.pos += len(w)
	return true
}

func (s *members) number() bool {
	s.take('-')
	if !s.take('0') && !s.digits() {
		return false
	}
	if s.take('.') && !s.digits() {
		return false
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		return s.digits()
	}
	return true
}

func (s *members) digits() bool {
	from := s.pos
	for s.pos < len(s.text) && '0' <= s.text[s.pos] && s.text[s.pos] <= '9' {
		s.pos++
	}
	return s.pos > from
}

// is tells whether the raw text of a string, without its quotes, means want.
func is(raw []byte, want string) bool {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw) == want
	}
	return unescape(raw) == want
}

// unescape returns what the raw text of a string means. It allocates: escapes
// in the keys of a label are legal but nobody writes them.
func unescape(raw []byte) string {
	var text string
	quoted := append(append([]byte{'"'}, raw...), '"')
	if err := json.Unmarshal(quoted, &text); err != nil {
		return string(raw)
	}
	return text
}
