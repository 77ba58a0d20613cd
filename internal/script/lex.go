package script

import (
	"errors"
	"fmt"
	"strings"
)

// arrow stands between what is done and what comes of it, if both are in one line;
// separator between what comes.
const (
	arrow     = "=>"
	separator = ";"
)

// word is one word of a line, and where it begins.
type word struct {
	text string
	at   int
}

// split cuts a line into words at spaces, but not within a quoted text or within the
// brackets of JSON. A comment is no word: it begins with a # that is the line's first sign, or has
// two spaces in front and one behind.
func split(line string) (words []word, err error) {
	first := skip(line, 0)
	for at := first; at < len(line); at = skip(line, at) {
		rest := line[at:]
		if rest[0] == '#' && (at == first || line[at-2:at] == "  " && (len(rest) == 1 || rest[1] == ' ')) {
			break
		}
		n, err := wordLen(rest)
		if err != nil {
			return nil, err
		}
		words = append(words, word{rest[:n], at})
		at += n
	}
	return words, nil
}

func skip(line string, at int) int {
	for at < len(line) && (line[at] == ' ' || line[at] == '\t' || line[at] == '\r') {
		at++
	}
	return at
}

// wordLen is how long the word is that begins the text.
func wordLen(text string) (int, error) {
	switch text[0] {
	case '"':
		if n := quotedLen(text); n > 0 {
			return n, nil
		}
		return 0, fmt.Errorf("the quote has no end: %s", cut(text))
	case '{', '[':
		if n := bracketLen(text); n > 0 {
			return n, nil
		}
		return 0, fmt.Errorf("the bracket has no end: %s", cut(text))
	}
	if n := strings.IndexAny(text, " \t\r"); n >= 0 {
		return n, nil
	}
	return len(text), nil
}

// quotedLen is how long the quoted text is that begins the text; 0 if it has no end.
func quotedLen(text string) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// bracketLen is how long the JSON object or array is that begins the text, as far as its
// brackets tell; 0 if it has no end.
func bracketLen(text string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			n := quotedLen(text[i:])
			if n == 0 {
				return 0
			}
			i += n - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// cut shortens a text for an error.
func cut(text string) string {
	const most = 60
	if len(text) <= most {
		return text
	}
	return text[:most] + "…"
}

// part is a stretch of a line between arrow and separators.
type part struct {
	text   string
	beside bool // stands behind the arrow
}

// parts cuts a line into what is done and what comes of it.
func parts(line string) (all []part, err error) {
	words, err := split(line)
	if err != nil || len(words) == 0 {
		return nil, err
	}
	begin, end, beside := words[0].at, words[0].at, false
	add := func() error {
		if end == begin {
			return errors.New("has nothing before or behind " + arrow + " or " + separator)
		}
		all = append(all, part{line[begin:end], beside})
		return nil
	}
	for i, w := range words {
		if w.text == arrow && beside {
			return nil, errors.New("has " + arrow + " twice")
		}
		if w.text == arrow || w.text == separator && beside {
			if err := add(); err != nil {
				return nil, err
			}
			beside, begin, end = true, w.at, w.at
			if i+1 < len(words) {
				begin, end = words[i+1].at, words[i+1].at
			}
			continue
		}
		end = w.at + len(w.text)
	}
	return all, add()
}
