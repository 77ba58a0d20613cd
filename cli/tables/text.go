package tables

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"

	"github.com/zioflow/gateway/internal/text"
)

// Printable is a text that others have written, fit for a terminal: what is no UTF-8,
// control characters and those that have no form of their own, such as the ones that turn
// the direction of writing, stand there as escapes. Spaces of all kinds are one space.
func Printable(s string) string {
	if strings.IndexFunc(s, unprintable) < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, width := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && width == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n' || r == '\t' || unicode.Is(unicode.Zs, r):
			b.WriteByte(' ')
		case unprintable(r) && r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		case unprintable(r):
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			b.WriteRune(r)
		}
		i += width
	}
	return b.String()
}

// unprintable also holds for utf8.RuneError, which stands for what is no UTF-8.
func unprintable(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }

// Cut is a printable text of at most that many columns; an ellipsis stands for the rest.
func Cut(s string, columns int) string {
	if len(s) <= columns { // a column has one byte at least
		return s
	}
	return ansi.Truncate(s, columns, text.Ellipsis)
}
