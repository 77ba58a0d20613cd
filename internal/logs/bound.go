package logs

import (
	"log/slog"
	"unicode"
	"unicode/utf8"

	"github.com/zioflow/gateway/internal/text"
)

// Bounds of a value in a line, in bytes as they are written: quoted.
const (
	MaxValue = 2048
	// maxStack is that of a value with the key "stack": it has to reach the place of
	// a panic.
	maxStack = 8192
)

// Bound cuts a text that is too long; the message is one, too. It is a handler's
// ReplaceAttr, so that a line costs no more to write than it is long. Values that
// are no texts are none of what peers have sent, and left alone.
func Bound(_ []string, a slog.Attr) slog.Attr {
	limit := MaxValue
	if a.Key == "stack" {
		limit = maxStack
	}
	switch a.Value.Kind() {
	case slog.KindString:
		if s := a.Value.String(); len(s) > limit/maxQuoted {
			return slog.String(a.Key, text.CutBy(s, limit, quoted))
		}
	case slog.KindAny:
		if err, ok := a.Value.Any().(error); ok {
			return slog.String(a.Key, text.CutBy(err.Error(), limit, quoted))
		}
	default: // a number or a time; a handler passes no groups here
	}
	return a
}

// maxQuoted is what quoting can make of a byte: six of them.
const maxQuoted = len(`\u0000`)

// quoted is how many bytes a character can have when it is quoted.
func quoted(r rune, width int) int {
	switch {
	case r == utf8.RuneError && width == 1:
		return maxQuoted
	case r == '"' || r == '\\' || r == '\n' || r == '\t':
		return 2
	case unicode.IsPrint(r):
		return width
	case r > 0xffff:
		return len(`\U00000000`)
	default:
		return maxQuoted
	}
}
