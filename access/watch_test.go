package access_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zioflow/gateway/access"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

func TestWatcher(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain, behind := filepath.Join(dir, "plain"), filepath.Join(dir, "behind")
	for _, version := range []string{"v1", "v2"} {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, version, "file"), "same")
	}
	write(t, plain, "one")
	link(t, "v1", filepath.Join(dir, "..data"))
	link(t, "..data/file", behind)
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		var fails atomic.Bool
		w := access.NewWatcher(plain, behind)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			w.Run(ctx, time.Second, func() error {
				calls.Add(1)
				if fails.Load() {
					return errors.New("not yet")
				}
				return nil
			})
		})
		want := func(what string, n int32) {
			t.Helper()
			time.Sleep(1500 * time.Millisecond)
			synctest.Wait()
			if got := calls.Swap(0); got != n {
				t.Errorf("%s: called %d times, want %d", what, got, n)
			}
			time.Sleep(500 * time.Millisecond)
			synctest.Wait()
			calls.Store(0)
		}
		want("nothing", 0)
		write(t, plain, "other")
		want("written in place", 1)
		write(t, plain+".new", "newer")
		if err := os.Rename(plain+".new", plain); err != nil {
			t.Fatal(err)
		}
		want("renamed over", 1)
		link(t, "v2", filepath.Join(dir, "..data"))
		want("link turned", 1)
		fails.Store(true)
		if err := os.Remove(plain); err != nil {
			t.Fatal(err)
		}
		want("removed", 1)
		want("still removed", 1)
		fails.Store(false)
		write(t, plain, "again")
		want("there again", 1)
		want("and nothing more", 0)
		stop()
		running.Wait()
	})
}
