package jwks

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// told counts what a source has asked its issuer for, and says what that answers.
type told struct {
	asked atomic.Int32
	keys  atomic.Pointer[Set]
	fails atomic.Bool
}

func newTold(t *testing.T) (*told, *Source) {
	t.Helper()
	i := new(told)
	i.keys.Store(&Set{{kid: "k1", key: &ecdsa.PublicKey{}}})
	s := NewSource("https://issuer", "https://issuer/keys")
	s.load = func(context.Context) (Set, int, error) {
		i.asked.Add(1)
		if i.fails.Load() {
			return nil, 0, errors.New("is away")
		}
		return *i.keys.Load(), 0, nil
	}
	t.Cleanup(s.Close)
	return i, s
}

// wantAsked wants the issuer to have been asked so often since it was checked last.
func (i *told) wantAsked(t *testing.T, when string, n int32) {
	t.Helper()
	synctest.Wait()
	if got := i.asked.Swap(0); got != n {
		t.Errorf("%s: asked %d times, want %d", when, got, n)
	}
}

// TestKeysAreRefreshed: every so often though nobody comes, sooner after a failure, and
// not after the end.
func TestKeysAreRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, s := newTold(t)
		time.Sleep(time.Hour)
		i.wantAsked(t, "before anybody has come", 0)
		if _, err := s.Get(t.Context(), "k1", "ES256"); err != nil {
			t.Fatal(err)
		}
		i.wantAsked(t, "for the first", 1)
		time.Sleep(3*refresh + time.Second)
		i.wantAsked(t, "in three quarters of an hour", 3)
		i.fails.Store(true)
		time.Sleep(refresh + 4*retry)
		i.wantAsked(t, "while it fails", 5)
		if keys, err := s.Get(t.Context(), "k1", "ES256"); err != nil || len(keys) != 1 {
			t.Errorf("the last good keys: %v, %v", keys, err)
		}
		i.fails.Store(false)
		time.Sleep(retry)
		i.wantAsked(t, "when it is back", 1)
		i.keys.Store(&Set{{kid: "k2", key: &ecdsa.PublicKey{}}})
		time.Sleep(refresh)
		i.wantAsked(t, "after that", 1)
		if keys, _ := s.Get(t.Context(), "k2", "ES256"); len(keys.Fitting("k1", "ES256")) != 0 {
			t.Error("a key that was withdrawn is still there")
		}
		s.Close()
		time.Sleep(time.Hour)
		i.wantAsked(t, "after the end", 0)
		if _, err := s.Get(t.Context(), "k3", "ES256"); err != nil {
			t.Errorf("after the end: %v", err)
		}
	})
}

// TestIssuerIsAskedSeldom: because of keys that are not known, or while it fails.
func TestIssuerIsAskedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, s := newTold(t)
		i.fails.Store(true)
		for range 50 {
			if _, err := s.Get(t.Context(), "k1", "ES256"); err == nil {
				t.Fatal("there are keys")
			}
			time.Sleep(time.Second)
		}
		i.wantAsked(t, "in 50 s in which it fails", 5)
		i.fails.Store(false)
		time.Sleep(refetch)
		if _, err := s.Get(t.Context(), "k1", "ES256"); err != nil {
			t.Error(err)
		}
		i.wantAsked(t, "when it is back", 1)
		for range 100 { // by strangers, ten a second
			if _, err := s.Get(t.Context(), "x", "ES256"); err != nil {
				t.Error(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		i.wantAsked(t, "in 10 s of keys unknown", 1)
	})
}
