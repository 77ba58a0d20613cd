package dial

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// TestQueueBounds: a queue takes as many entries and bytes as it may, always one, and
// what was taken out counts until it is settled.
func TestQueueBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue[int]{limit: Limit{Messages: 2, Bytes: 10}}
		put := func(item, size int) <-chan error {
			done := make(chan error, 1)
			go func() { done <- q.push(t.Context(), item, size) }()
			synctest.Wait()
			return done
		}
		want := func(what string, pushed <-chan error, through bool) {
			t.Helper()
			synctest.Wait()
			if len(pushed) == 1 != through {
				t.Errorf("%s: went in is %t, want %t", what, !through, through)
			}
		}
		large := put(1, 100)
		want("one that is too large, into an empty queue", large, true)
		second := put(2, 1)
		want("a second one", second, false)
		taken := q.take(nil, 1000)
		want("a second one, with the first not settled", second, false)
		q.release(len(taken), 100)
		want("a second one, with the first settled", second, true)
		want("ten bytes in two", put(3, 9), true)
		third := put(4, 0)
		want("a third one, of no bytes", third, false)
		if got := q.take(nil, 1000); len(got) != 2 || got[0].item != 2 || got[1].item != 3 {
			t.Errorf("took %v, want 2 and 3", got)
		}
		q.close()
		if err := <-third; !errors.Is(err, ErrClosed) {
			t.Errorf("who waited is told %v, want ErrClosed", err)
		}
		if err := q.push(t.Context(), 5, 0); !errors.Is(err, ErrClosed) {
			t.Errorf("pushed into a queue that is shut: %v, want ErrClosed", err)
		}
	})
}

// TestQueueTakes: a batch has one entry whatever its size, and ends when it has enough
// bytes.
func TestQueueTakes(t *testing.T) {
	t.Parallel()
	q := queue[int]{limit: Limit{Messages: 100, Bytes: 1000}}
	for i := range 5 {
		if err := q.push(t.Context(), i, 10); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int{2, 1, 2} {
		bytes := map[int]int{2: 15, 1: 0}[want]
		if got := q.take(nil, bytes); len(got) != want {
			t.Errorf("took %v for %d bytes, want %d", got, bytes, want)
		}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	full := queue[int]{limit: Limit{Messages: 1, Bytes: 1}}
	if err := full.push(over, 1, 1); err != nil {
		t.Errorf("there was room: %v", err)
	}
	if err := full.push(over, 1, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("there was no room: %v, want the context's error", err)
	}
}
