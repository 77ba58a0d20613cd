package tables

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

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
	return escaped(plain.String()) + "\n", nil
}

// escaped is JSON with what is not printable as its escapes: that is in strings only.
func escaped(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r != '\n' && unprintable(r) }) < 0 {
		return s
	}
	var b bytes.Buffer
	for _, r := range s {
		switch {
		case r == '\n' || !unprintable(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := (r-0x10000)>>10+0xd800, (r-0x10000)&0x3ff+0xdc00
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
