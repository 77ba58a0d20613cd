package tables

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf16"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// JSON is a message of the contract as protobuf has it in JSON, on several lines or on one,
// with what is zero, so that a script finds every field but for messages not set. What
// is not printable in its strings is escaped.
func JSON(m proto.Message, oneLine bool) (string, error) {
	text, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return "", err
	}
	// protojson has spaces where it likes, so that nobody relies on them.
	var plain bytes.Buffer
	if err := json.Compact(&plain, text); err != nil {
		return "", err
	}
	if !oneLine {
		indented := bytes.Buffer{}
		if err := json.Indent(&indented, plain.Bytes(), "", "  "); err != nil {
			return "", err
		}
		plain = indented
	}
	return Escaped(plain.String(), plainly) + "\n", nil
}

// plainly tells whether a character of JSON stands there as it is.
func plainly(r rune) bool { return r == '\n' || !unprintable(r) }

// Escaped is JSON with all but what is to be kept as escapes: nothing outside strings may
// need one.
func Escaped(s string, keep func(rune) bool) string {
	if strings.IndexFunc(s, func(r rune) bool { return !keep(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch high, low := utf16.EncodeRune(r); {
		case keep(r):
			b.WriteRune(r)
		case r > 0xffff:
			_, _ = fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			_, _ = fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
