package secretfile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/zioflow/gateway/internal/secretfile"
)

func TestRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	for content, want := range map[string]string{"abc": "abc", " abc\r\n\n": "abc", "": "", " \n": ""} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := secretfile.Read(path)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q is read as %q, %v", content, got, err)
		}
	}
	if _, err := secretfile.Read("/dev/zero"); err == nil {
		t.Error("a device that never ends is read")
	}
	if _, err := secretfile.Read(path + ".none"); err == nil {
		t.Error("a file that is not there is no error")
	}
}
