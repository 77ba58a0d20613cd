package text_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/zioflow/gateway/internal/text"
)

func TestCut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		s     string
		limit int
		want  string
	}{
		{"", 0, ""},
		{"abc", 3, "abc"},
		{"abcd", 3, "…"},
		{"abcde", 4, "a…"},
		{"abcd", 2, "ab"},
		{"abcd", -1, ""},
		{"äöüä", 7, "äö…"}, // 8 bytes
		{"äöüä", 6, "ä…"},  // half an ö would fit
		{"ää", 3, "…"},     // nothing but
		{"ää", 1, ""},      // not half of one
		{"😀😀", 7, "😀…"},    // 4 bytes each
		{"😀😀", 6, "…"},     // three of them do not fit
		{"\x80\x80\x80\x80\x80\x80\x80\x80", 7, "\x80\x80\x80\x80…"}, // no UTF-8 at all
	} {
		if got := text.Cut(c.s, c.limit); got != c.want {
			t.Errorf("Cut(%q, %d) = %q, want %q", c.s, c.limit, got, c.want)
		}
	}
}

func TestCutBy(t *testing.T) {
	t.Parallel()
	threefold := func(r rune, width int) int { // as in a URL
		if r > ' ' && r < utf8.RuneSelf {
			return 1
		}
		return 3 * width
	}
	for _, c := range []struct {
		s     string
		limit int
		want  string
	}{
		{"", 0, ""},
		{"abc", 3, "abc"},
		{"abcd", 3, ""}, // the ellipsis takes 9
		{"abcdefghijkl", 11, "ab…"},
		{"äää", 18, "äää"}, // 6 each
		{"ääää", 18, "ä…"},
		{"ab\xff", 5, "ab\xff"},
		{"abcdefg\xffxx", 11, "ab…"},
		{"a b c d e f", 21, "a b c d e f"},
		{"a b c d e f", 20, "a b c…"},
	} {
		if got := text.CutBy(c.s, c.limit, threefold); got != c.want {
			t.Errorf("CutBy(%q, %d) = %q, want %q", c.s, c.limit, got, c.want)
		}
	}
}

// TestValid: a name or detail is UTF-8, whatever was sent, and keeps its limit.
func TestValid(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "ok", "a\xffb", strings.Repeat("\xff", 5000), strings.Repeat("\xffä", 5000), strings.Repeat("x", 5000)} {
		for _, c := range []struct {
			got   string
			limit int
		}{{text.Name(s), text.MaxName}, {text.Detail(s), text.MaxDetail}} {
			whole := utf8.ValidString(s) && len(c.got) < min(len(s), c.limit-utf8.UTFMax)
			if !utf8.ValidString(c.got) || len(c.got) > c.limit || whole || (c.got == "") != (s == "") {
				t.Errorf("%.20q became %d bytes of at most %d: %.40q", s, len(c.got), c.limit, c.got)
			}
		}
	}
	if got := text.Name("a\xffb"); got != "a\uFFFDb" {
		t.Errorf("got %q", got)
	}
}

func FuzzCut(f *testing.F) {
	f.Add("äöü😀", 5)
	f.Add("\xff\xfe", 1)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		got := text.Cut(s, limit)
		switch {
		case len(s) <= limit:
			if got != s {
				t.Errorf("%q was cut to %q at %d", s, got, limit)
			}
		case len(got) > max(0, limit):
			t.Errorf("Cut(%q, %d) has %d bytes", s, limit, len(got))
		case utf8.ValidString(s) && !utf8.ValidString(got):
			t.Errorf("Cut(%q, %d) = %q splits a character", s, limit, got)
		case !strings.HasPrefix(s, strings.TrimSuffix(got, text.Ellipsis)) && !strings.HasPrefix(s, got):
			t.Errorf("Cut(%q, %d) = %q is no beginning", s, limit, got)
		}
	})
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"":                         "",
		"reader 7 (ä)":             "reader 7 (ä)",
		"a\x1b[31m\tb\x80\u202e":   "a\uFFFD[31m\uFFFDb\uFFFD\uFFFD",
		strings.Repeat("x", 200):   strings.Repeat("x", 125) + "…",
		strings.Repeat("\x01", 99): strings.Repeat("\uFFFD", 41) + "…",
	} {
		if got := text.Printable(s); got != want {
			t.Errorf("Printable(%q) = %q, want %q", s, got, want)
		}
	}
}
