package jsonnet_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/zioflow/gateway/broker/match/jsonnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEvaluate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{a: 1 + 1, b: "<x>"}`:             `{"a":2,"b":"<x>"}`,
		`[n * n for n in std.range(1, 3)]`: `[1,4,9]`,
	} {
		got, err := jsonnet.Evaluate(t.Context(), jsonnet.Source{Name: "text", Text: text})
		if compact := strings.Join(strings.Fields(string(got)), ""); err != nil || compact != want {
			t.Errorf("%s is %s (%v), want %s", text, compact, err, want)
		}
	}
}

// TestBounds: each of these would take all the time or memory that there is.
func TestBounds(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`local x = std.foldl(function(s, i) s + s, std.range(1, 34), 'x'); [x]`:                                          "takes more than", // memory, or on a busy machine time
		`std.makeArray(50000000, function(i) i)`:                                                                         "",
		`local f(x) = if std.foldl(function(a, b) a + b, std.range(1, 100000), 0) < 0 then 1 else f(x) tailstrict; f(1)`: fmt.Sprintf("takes more than %v", jsonnet.MaxTime),
		`local s = std.repeat("x", 1000); [s for i in std.range(1, 2000)]`:                                               fmt.Sprintf("yields more than %d bytes", jsonnet.MaxResult),
		`local f(x) = f(x) + 1; f(1)`:                                                                                    "max stack frames exceeded",
		`local s = std.repeat("long ", 100); error std.join("", [s for i in std.range(1, 20)])`:                          "RUNTIME ERROR: long long",
		`[` + strings.Repeat(" ", 1<<20) + `]`:                                                                           "1048576 are allowed",
		`import "x"`:                                                                                                     "can't import files",
	} {
		got, err := jsonnet.Evaluate(t.Context(), jsonnet.Source{Name: "text", Text: text})
		if err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 3000 {
			t.Errorf("%.80s is %.80s, error %.200v, want %q", text, got, err, want)
		}
	}
}

// TestEndsWithItsCaller: the process is gone when Evaluate returns, which is when
// the context ends.
func TestEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the caller has gone")
	// The text reads a pipe: whoever opens its other end knows that it is being
	// evaluated.
	folder := t.TempDir()
	pipe := filepath.Join(folder, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := jsonnet.Evaluate(ctx, jsonnet.Source{Name: "text", Text: `importstr "pipe"`, Folder: folder})
		ended <- err
	}()
	writer, err := os.OpenFile(pipe, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cancel(gone)
	if err := <-ended; !errors.Is(err, gone) {
		t.Errorf("ended with %v", err)
	}
	if _, err := writer.WriteString("x"); err == nil {
		t.Error("the process still reads")
	}
	_ = writer.Close()
}
