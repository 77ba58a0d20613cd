package timeshare

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestTurnsAreShared: whoever causes much work waits for himself, others for one
// piece of it at the most.
func TestTurnsAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := New()
		turns.free = 1
		var (
			mu    sync.Mutex
			order []string
			group sync.WaitGroup
		)
		work := func(who string) {
			group.Go(func() {
				turn, err := turns.Take(t.Context(), who)
				if err != nil {
					t.Error(err)
					return
				}
				defer turn.End()
				mu.Lock()
				order = append(order, who)
				mu.Unlock()
				time.Sleep(time.Millisecond)
			})
			synctest.Wait()
		}
		for range 5 {
			work("much")
		}
		work("b")
		work("c")
		work("b")
		group.Wait()
		if want := []string{"much", "much", "b", "c", "much", "b", "much", "much"}; !slices.Equal(order, want) {
			t.Errorf("the turns went to %v, want %v", order, want)
		}
		if turns.free != 1 || turns.ring.Len() != 0 || len(turns.waiting) != 0 {
			t.Errorf("left over: %d free, %d lines", turns.free, turns.ring.Len())
		}
	})
}

// TestATurnIsSliced: work that takes long lets others go first while it lasts.
func TestATurnIsSliced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := New()
		turns.free = 1
		var group sync.WaitGroup
		began := time.Now()
		group.Go(func() {
			turn, err := turns.Take(t.Context(), "long")
			if err != nil {
				t.Error(err)
				return
			}
			defer turn.End()
			for range 100 {
				time.Sleep(time.Millisecond)
				if err := turn.Share(t.Context()); err != nil {
					t.Error(err)
					return
				}
			}
		})
		synctest.Wait()
		group.Go(func() {
			turn, err := turns.Take(t.Context(), "short")
			if err != nil {
				t.Error(err)
				return
			}
			turn.End()
			if waited := time.Since(began); waited != slice {
				t.Errorf("another waited for %v, want %v", waited, slice)
			}
		})
		group.Wait()
		if turns.free != 1 {
			t.Errorf("%d turns are free", turns.free)
		}
	})
}

// TestATurnIsNotLost: who gives up waiting loses nobody's turn, nor his own while he
// shares it.
func TestATurnIsNotLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := New()
		turns.free = 1
		held, err := turns.Take(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		var group sync.WaitGroup
		for _, who := range []string{"b", "b", "c"} {
			group.Go(func() {
				if _, err := turns.Take(ctx, who); !errors.Is(err, gone) {
					t.Errorf("%s: %v", who, err)
				}
			})
		}
		synctest.Wait()
		cancel(gone)
		group.Wait()
		if turns.ring.Len() != 0 {
			t.Errorf("%d lines are left", turns.ring.Len())
		}
		// One that shares and is cancelled has no turn to give back.
		ctx, cancel = context.WithCancelCause(t.Context())
		other := make(chan *Turn)
		go func() {
			next, err := turns.Take(t.Context(), "d")
			if err != nil {
				t.Error(err)
			}
			other <- next
		}()
		synctest.Wait()
		time.Sleep(slice)
		shared := make(chan error)
		go func() { shared <- held.Share(ctx) }()
		next := <-other
		cancel(gone)
		if err := <-shared; !errors.Is(err, gone) {
			t.Errorf("sharing ended with %v", err)
		}
		held.End()
		next.End()
		if turns.free != 1 {
			t.Errorf("%d turns are free", turns.free)
		}
	})
}
