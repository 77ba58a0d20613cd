// Package nearest finds what somebody may have meant who has mistyped a word.
package nearest

import (
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// longest is the length beyond which a word, in bytes, is nobody's slip.
const longest = 64

// Of returns the word of the list that differs least from what was written, and "" if
// none is close: a third of its letters may differ, or their order. Case and the kind of dash count for
// nothing.
func Of(written string, words []string) string {
	if len(written) > longest {
		return ""
	}
	best, least := "", 0
	for _, word := range words {
		a, b := plain(written), plain(word)
		far := levenshtein.ComputeDistance(a, b)
		if (far <= max(1, len(word)/3) || sorted(a) == sorted(b)) && (best == "" || far < least) {
			best, least = word, far
		}
	}
	return best
}

// DidYouMean is a question that follows an error's words; "" where no word is close.
func DidYouMean(written string, words []string) string {
	if word := Of(written, words); word != "" {
		return "; did you mean " + word + "?"
	}
	return ""
}

func sorted(word string) string {
	letters := []byte(word)
	slices.Sort(letters)
	return string(letters)
}

func plain(word string) string { return strings.ReplaceAll(strings.ToLower(word), "_", "-") }
