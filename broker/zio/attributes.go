package zio

import "iter"

// Bounds of what Attributes reads.
const (
	// maxRead is how many bytes of values are read of one label. What a route looks
	// at is short; reading takes many times the memory of the text.
	maxRead = 64 << 10
	// maxKeys is how many of a label's keys are told at all.
	maxKeys = 4096
	// MaxDepth is how deep a value may lie within others to be read. Decoders of
	// google.protobuf.Struct give up at 100 messages within each other, which are
	// three for each object.
	MaxDepth = 30
)

// Unread stands in the place of a value that was not read, and says why.
type Unread string

// Why a value is not read.
const (
	UnreadLong      Unread = "is too long to be read"
	UnreadDeep      Unread = "is nested too deep to be read"
	UnreadNumber    Unread = "has a number beyond every double"
	UnreadNotJSON   Unread = "has NaN or Infinity, which are no JSON"
	UnreadSurrogate Unread = "has half a character (a lone surrogate)"
	UnreadTwice     Unread = "stands there twice"
)

// Attributes is a label as a map. Integers are int64 or, beyond that, uint64. A
// text that is no JSON object is the empty map.
//
// A value that cannot be read is Unread, and spoils no other: a number that no
// double holds, half a character, a key that stands there twice, a value nested
// deeper than MaxDepth. So is what comes after the first 64 KiB of values. Of more
// than 4,096 keys the rest is missing.
func Attributes(label []byte) map[string]any {
	attributes := map[string]any{}
	left := maxRead
	for key, member := range Members(label) {
		if member.Err != nil {
			return map[string]any{}
		}
		if _, twice := attributes[key]; twice {
			attributes[key] = UnreadTwice
			continue
		}
		switch {
		case len(attributes) >= maxKeys:
			return attributes
		case len(member.Text) > left:
			attributes[key] = UnreadLong
			continue
		}
		left -= len(member.Text)
		attributes[key] = member.Value()
	}
	return attributes
}

// MemberText is the value of a member of a label, as it stands there.
type MemberText struct {
	// Text is the value's text; not to be changed.
	Text []byte
	// KeyBroken tells that the key had half a character, which is U+FFFD in what
	// was told of it.
	KeyBroken bool
	// Err says why the label could not be walked to its end; it comes last, with
	// nothing else.
	Err error
}

// Members calls yield for every member of a label's object, in their order. A key
// that stands there twice comes twice.
func Members(label []byte) iter.Seq2[string, MemberText] {
	return func(yield func(string, MemberText) bool) {
		scan := membersOf(label)
		for scan.next() {
			key, broken := meaning(scan.key)
			if !yield(key, MemberText{Text: scan.value, KeyBroken: broken}) {
				return
			}
		}
		if scan.err != nil {
			yield("", MemberText{Err: scan.err})
		}
	}
}

// Value reads the value: bool, string, nil, int64, uint64, float64, []any or
// map[string]any, or Unread.
func (m MemberText) Value() any {
	if m.KeyBroken {
		return UnreadSurrogate
	}
	r := reader{members{text: m.Text}}
	value, unread := r.value(0)
	if unread != "" {
		return unread
	}
	return value
}
