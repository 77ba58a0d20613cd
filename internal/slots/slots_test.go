package slots_test

import (
	"context"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/zioflow/gateway/internal/slots"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestOrder: who came first is served first, but nobody waits for another key's slots.
func TestOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slots.New(3)
		served := make(chan string, 4)
		acquire := func(key string, own int) {
			go func() {
				if s.Acquire(t.Context(), key, own, func() {}) {
					served <- key
				}
			}()
			synctest.Wait()
		}
		acquire("a", 1)
		acquire("a", 1)
		acquire("b", 0)
		expect(t, served, "a", "b")
		acquire("c", 0)
		expect(t, served, "c")
		if taken, limit := s.Taken("a", 1); taken != 3 || limit != 3 {
			t.Errorf("%d of %d are taken, want 3 of 3: there is none in all", taken, limit)
		}
		s.Release("b")
		if taken, limit := s.Taken("a", 1); taken != 1 || limit != 1 {
			t.Errorf("%d of %d are taken, want 1 of 1", taken, limit)
		}
		synctest.Wait()
		expect(t, served)
		s.Release("a")
		synctest.Wait()
		expect(t, served, "a")
		s.Release("a")
		s.Release("c")
	})
}

// TestGivenUp: who gives up while it is served leaves no slot taken, and who never is
// knows that all are.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	s := slots.New(1)
	if !s.Acquire(t.Context(), "a", 0, func() { t.Error("had to wait") }) {
		t.Fatal("none is free")
	}
	for range 1000 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan bool)
		go func() { done <- s.Acquire(ctx, "b", 0, func() {}) }()
		go s.Release("a")
		cancel()
		if <-done {
			s.Release("b")
		}
		asked := false
		if !s.Acquire(t.Context(), "a", 0, func() { asked = true }) {
			t.Fatalf("a slot is lost; had to wait: %v", asked)
		}
	}
	s.SetLimit(2)
	if !s.Acquire(t.Context(), "b", 0, func() { t.Error("had to wait, with one more") }) {
		t.Fatal("none is free")
	}
}

func expect(t *testing.T, served chan string, want ...string) {
	t.Helper()
	for _, key := range want {
		select {
		case got := <-served:
			if got != key {
				t.Errorf("%s is served, want %s", got, key)
			}
		default:
			t.Errorf("nobody is served, want %s", key)
		}
	}
	select {
	case got := <-served:
		t.Errorf("%s is served, want nobody", got)
	default:
	}
}
