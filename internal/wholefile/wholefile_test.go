package wholefile_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/zioflow/gateway/internal/wholefile"
)

func TestRead(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for path, want := range map[string]string{write("some", "some"): "some", write("none", ""): "", os.DevNull: "", write("all", "0123456789"): "0123456789"} {
		if text, err := wholefile.Read(path, 10); err != nil || string(text) != want {
			t.Errorf("%s: %q, %v", path, text, err)
		}
	}
	wrong := map[string]string{folder: "is a directory, want a file", write("large", "01234567890"): "has more than 10 bytes", filepath.Join(folder, "nowhere"): ""}
	if runtime.GOOS != "windows" {
		wrong["/dev/zero"] = "is neither a file nor a pipe"
	}
	for path, want := range wrong {
		if text, err := wholefile.Read(path, 10); err == nil || !strings.Contains(err.Error(), path+": "+want) {
			t.Errorf("%s: %q, %v, want %s", path, text, err, want)
		}
	}
}

// TestPipe: what a shell has for <(command) is read to its end, and no further than its limit.
func TestPipe(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("pipes have no such path")
	}
	for text, want := range map[string]string{"0123456789": "", "012345678901": "has more than 10 bytes"} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := wholefile.Read(filepath.Join("/proc/self/fd", fd(r)), 10)
		if want == "" && (err != nil || string(got) != text) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %q, %v", text, got, err)
		}
		_ = r.Close()
	}
}

func fd(file *os.File) string { return strconv.FormatUint(uint64(file.Fd()), 10) }
