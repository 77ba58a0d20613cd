// Package text bounds what others have written, before it is kept, logged or
// passed on.
package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxDetail bounds, in bytes, words that say why something has failed: the detail
// of an EOT, a status or a Decline. With every byte percent-encoded a status
// stays far below the 8 KiB of headers that any client takes.
const MaxDetail = 1024

// MaxName bounds, in bytes, a name that a peer gives itself or something of its
// own: a listener, an identity, a user agent.
const MaxName = 128

// Ellipsis ends a text that was cut.
const Ellipsis = "…"

// Cut is s if that has at most limit bytes. Otherwise it is as many whole
// characters of its beginning as fit with an Ellipsis, which stands for the rest;
// without one if even that does not fit. A long text's memory is let go.
func Cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	if limit < len(Ellipsis) {
		return string([]byte(s[:start(s, max(0, limit))]))
	}
	return s[:start(s, limit-len(Ellipsis))] + Ellipsis
}

// CutBy is Cut for a text that becomes longer where it goes: cost says how many
// bytes each character of that many bytes becomes there; utf8.RuneError of one
// byte is one that is no UTF-8. It looks at no more of a text than fits.
func CutBy(s string, limit int, cost func(r rune, width int) int) string {
	ellipsis, _ := utf8.DecodeRuneInString(Ellipsis)
	room := limit - cost(ellipsis, len(Ellipsis))
	size, fits := 0, 0 // fits: as many bytes as leave room for the ellipsis
	for i := 0; i < len(s); {
		r, width := utf8.DecodeRuneInString(s[i:])
		if size += cost(r, width); size > limit {
			if room < 0 {
				return ""
			}
			return s[:fits] + Ellipsis
		}
		i += width
		if size <= room {
			fits = i
		}
	}
	return s
}

// Detail is Cut for words that say why something has failed. What is no UTF-8 in
// them is replaced: they go into JSON, and into messages that take nothing else.
func Detail(s string) string { return valid(s, MaxDetail) }

// Name is Cut for a name, with what is no UTF-8 replaced.
func Name(s string) string { return valid(s, MaxName) }

// Printable is Name with all that cannot be printed replaced, controls among it.
func Printable(s string) string {
	return Cut(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, Cut(s, MaxName)), MaxName)
}

func valid(s string, limit int) string {
	return Cut(strings.ToValidUTF8(Cut(s, limit), "\uFFFD"), limit)
}

// start is the last place up to i, of a text that goes on there, where no
// character is split. A text that is no UTF-8 may be split anywhere.
func start(s string, i int) int {
	for back := 0; back < utf8.UTFMax && back <= i; back++ {
		if utf8.RuneStart(s[i-back]) {
			return i - back
		}
	}
	return i
}
