//go:build unix

package zmqbridge_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/zioflow/gateway/broker"
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
	if _, err := os.Lstat(path + ".lock"); !os.IsNotExist(err) {
		t.Errorf("what locked it: %v", err)
	}
}

// TestNothingIsLeft: of addresses that can't be had all, no socket and no lock stays.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	o := zmqbridge.DefaultOptions(b.Options())
	o.Servers = []string{"ipc://" + dir + "/one", "ipc://" + dir + "/two", "ipc://" + dir + "/none/three"}
	bridge, err := zmqbridge.Open(b, o)
	if err == nil {
		t.Fatal(errors.Join(errors.New("was opened"), bridge.Close()))
	}
	o.Servers = o.Servers[:2]
	if bridge, err = zmqbridge.Open(b, o); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 4 {
		t.Errorf("%v is there while it is served", left)
	}
	if err := bridge.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}
