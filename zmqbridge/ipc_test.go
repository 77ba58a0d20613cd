//go:build unix

package zmqbridge_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/zioflow/gateway/zmqbridge"
)

// TestLockFollowsNoLink: somebody who may write in the folder of an ipc path can't have
// the gateway make or open a file elsewhere.
func TestLockFollowsNoLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, elsewhere := filepath.Join(dir, "zio"), filepath.Join(dir, "elsewhere")
	if err := os.Symlink(elsewhere, path+".lock"); err != nil {
		t.Fatal(err)
	}
	if lock, err := zmqbridge.LockPath("ipc://" + path); err == nil {
		t.Errorf("a link was followed: %v", lock.Release())
	}
	if _, err := os.Lstat(elsewhere); !os.IsNotExist(err) {
		t.Errorf("what the link leads to: %v", err)
	}
	if err := os.Remove(path + ".lock"); err != nil {
		t.Fatal(err)
	}
	lock, err := zmqbridge.LockPath("ipc://" + path)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := zmqbridge.LockPath("ipc://" + path); err == nil {
		t.Errorf("locked twice: %v", second.Release())
	}
	if err := lock.Release(); err != nil {
		t.Error(err)
	}
}
