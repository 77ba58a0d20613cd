package logs_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/zioflow/gateway/internal/logs"
)

// TestBound: whatever a text is made of, it is not longer when it is written than a
// value may be, in either format, and what is short is left alone.
func TestBound(t *testing.T) {
	t.Parallel()
	options := &slog.HandlerOptions{ReplaceAttr: logs.Bound}
	for format, handler := range map[string]func(io.Writer) slog.Handler{
		"text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, options) },
		"JSON": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, options) },
	} {
		for _, unit := range []string{"x", `\`, `"`, "\x00", "\xff", "\n", "ä", "😀", "\u2028", "\U000e0001", "\u200b", "x\xffä"} {
			for _, n := range []int{1, 100, 300, 400, 1 << 20} {
				value := strings.Repeat(unit, n)
				for what, any := range map[string]any{"text": value, "error": errors.New(value)} {
					var line bytes.Buffer
					slog.New(handler(&line)).Info("said", "it", any)
					if line.Len() > logs.MaxValue+100 {
						t.Errorf("%s: %s of %d times %q takes %d bytes", format, what, n, unit, line.Len())
					}
					cut := bytes.Contains(line.Bytes(), []byte("…"))
					if most := len(value) * 6; most <= logs.MaxValue && cut || len(value) > logs.MaxValue && !cut {
						t.Errorf("%s: %s of %d times %q was cut: %t", format, what, n, unit, cut)
					}
					if !utf8.Valid(line.Bytes()) || bytes.Count(line.Bytes(), []byte("\n")) != 1 {
						t.Errorf("%s: %d times %q is %q", format, n, unit, line.Bytes())
					}
				}
			}
		}
	}
	var line bytes.Buffer
	slog.New(slog.NewTextHandler(&line, options)).Info(strings.Repeat("m", 1<<20), "n", 1, "list", []string{"a"}, "err", error(nil))
	if line.Len() > logs.MaxValue+200 || !bytes.Contains(line.Bytes(), []byte(" n=1 list=[a] err=<nil>")) {
		t.Errorf("a long message makes %d bytes: %q", line.Len(), line.Bytes()[max(0, line.Len()-100):])
	}
}
