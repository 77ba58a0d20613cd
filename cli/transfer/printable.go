package transfer

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/zioflow/gateway/internal/text"
)

// printable is a text of somebody else's as a terminal may show it: on one line, with what
// would steer the terminal, or is no UTF-8, in the escapes of Go.
func printable(s string) string {
	var out strings.Builder
	for len(s) > 0 {
		r, width := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && width == 1 || !strconv.IsPrint(r) {
			quoted := strconv.Quote(s[:width])
			out.WriteString(quoted[1 : len(quoted)-1])
		} else {
			out.WriteRune(r)
		}
		s = s[width:]
	}
	return out.String()
}

// shown is printable of a text that is cut to so many bytes, or a few times as many where
// they are escapes.
func shown(s string, limit int) string { return printable(text.Cut(s, limit)) }
