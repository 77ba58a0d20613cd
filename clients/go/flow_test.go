package zioflow_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	zioflow "github.com/zioflow/gateway/clients/go"
)

func put(t *testing.T, giver *zioflow.Giver, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if err := giver.Put(t.Context(), text(s)); err != nil {
			t.Fatalf("put %s: %v", s, err)
		}
	}
}

// take takes up to n messages, fewer if an error comes, which it answers.
func take(t *testing.T, taker *zioflow.Taker, n int) (texts []string, err error) {
	t.Helper()
	for range n {
		dat, err := taker.Next(t.Context())
		if err != nil {
			return texts, err
		}
		texts = append(texts, string(dat.Payload[0]))
	}
	return texts, nil
}

func TestGiver_credit(t *testing.T) {
	// How many Puts have gone through before the first Next and after each.
	for credit, want := range map[int64][]int64{
		1: {1, 2, 3, 4},
		2: {2, 3, 4, 5},
		3: {3, 4, 5, 6},
		4: {4, 4, 6, 6, 8},
		9: {9, 9, 9, 9, 13, 13, 13, 13, 17},
	} {
		eachWay(t, credit, func(t *testing.T, giver *zioflow.Giver, taker *zioflow.Taker) {
			if got := giver.Bot().Credit; got != credit {
				t.Errorf("agreed credit %d, want %d", got, credit)
			}
			var sent atomic.Int64
			ended := background(func() error {
				for {
					if err := giver.Put(t.Context(), text("x")); err != nil {
						return err
					}
					sent.Add(1)
				}
			})
			var got []int64
			for range want {
				synctest.Wait()
				got = append(got, sent.Load())
				if _, err := taker.Next(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("credit %d: %v put, want %v", credit, got, want)
			}
			giver.Abort()
			if err := <-ended; !errors.Is(err, zioflow.ErrAborted) {
				t.Errorf("Put after Abort: %v", err)
			}
		})
	}
}

func TestGiver_Close(t *testing.T) {
	eachWay(t, 5, func(t *testing.T, giver *zioflow.Giver, taker *zioflow.Taker) {
		put(t, giver, "a", "b", "c")
		closed := background(func() error { return giver.Close(t.Context()) })
		if got, err := take(t, taker, 3); err != nil || !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("took %v, %v", got, err)
		}
		if !waiting(closed) {
			t.Error("Close has returned before the taker answered")
		}
		for range 2 {
			if _, err := taker.Next(t.Context()); !errors.Is(err, io.EOF) {
				t.Errorf("Next at the end: %v, want io.EOF", err)
			}
		}
		for _, err := range []error{<-closed, giver.Close(t.Context()), taker.Close(t.Context())} {
			if err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		giver.Abort()
		taker.Abort()
		if _, err := taker.Next(t.Context()); !errors.Is(err, io.EOF) {
			t.Errorf("Next after Close at the end: %v, want io.EOF", err)
		}
		if err := giver.Put(t.Context(), text("d")); !errors.Is(err, zioflow.ErrClosed) {
			t.Errorf("Put after Close: %v", err)
		}
	})
}

func TestGiver_Close_withoutPut(t *testing.T) {
	eachWay(t, 1, func(t *testing.T, giver *zioflow.Giver, taker *zioflow.Taker) {
		closed := background(func() error { return giver.Close(t.Context()) })
		for dat, err := range taker.All(t.Context()) {
			t.Errorf("took %v, %v", dat, err)
		}
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func TestTaker_Close(t *testing.T) {
	eachWay(t, 2, func(t *testing.T, giver *zioflow.Giver, taker *zioflow.Taker) {
		put(t, giver, "a", "b")
		if _, err := take(t, taker, 1); err != nil {
			t.Fatal(err)
		}
		put(t, giver, "c")
		blocked := background(func() error { return giver.Put(t.Context(), text("d")) })
		if !waiting(blocked) {
			t.Fatal("Put did not wait for credit")
		}
		if err := taker.Close(t.Context()); err != nil {
			t.Errorf("Taker.Close: %v", err)
		}
		for what, err := range map[string]error{
			"waiting Put": <-blocked,
			"Put":         giver.Put(t.Context(), text("e")),
			"Close":       giver.Close(t.Context()),
		} {
			if !errors.Is(err, zioflow.ErrTakerEnded) {
				t.Errorf("%s: %v, want ErrTakerEnded", what, err)
			}
		}
		if _, err := taker.Next(t.Context()); !errors.Is(err, zioflow.ErrClosed) {
			t.Errorf("Next after Close: %v", err)
		}
	})
}

func TestTaker_Close_crossing(t *testing.T) {
	eachWay(t, 2, func(t *testing.T, giver *zioflow.Giver, taker *zioflow.Taker) {
		put(t, giver, "a", "b")
		closed := background(func() error { return giver.Close(t.Context()) })
		if !waiting(closed) {
			t.Fatal("Close has returned before the taker answered")
		}
		if err := taker.Close(t.Context()); err != nil {
			t.Errorf("Taker.Close: %v", err)
		}
		if err := <-closed; err != nil {
			t.Errorf("Giver.Close: %v", err)
		}
	})
}

func TestTaker_Close_releases(t *testing.T) {
	eachWay(t, 2, func(t *testing.T, giver *zioflow.Giver, taker *zioflow.Taker) {
		next := background(func() error { _, err := taker.Next(t.Context()); return err })
		if !waiting(next) {
			t.Fatal("Next has something to answer")
		}
		if err := taker.Close(t.Context()); err != nil {
			t.Errorf("Taker.Close: %v", err)
		}
		if err := <-next; !errors.Is(err, zioflow.ErrClosed) {
			t.Errorf("Next: %v, want ErrClosed", err)
		}
	})
}

func TestGiver_Close_releases(t *testing.T) {
	eachWay(t, 1, func(t *testing.T, giver *zioflow.Giver, taker *zioflow.Taker) {
		put(t, giver, "a")
		blocked := background(func() error { return giver.Put(t.Context(), text("b")) })
		if !waiting(blocked) {
			t.Fatal("Put did not wait for credit")
		}
		closed := background(func() error { return giver.Close(t.Context()) })
		if err := <-blocked; !errors.Is(err, zioflow.ErrClosed) {
			t.Errorf("Put: %v, want ErrClosed", err)
		}
		if got, err := take(t, taker, 2); !errors.Is(err, io.EOF) || !slices.Equal(got, []string{"a"}) {
			t.Errorf("took %v, %v", got, err)
		}
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func TestGiver_Abort(t *testing.T) {
	eachWay(t, 3, func(t *testing.T, giver *zioflow.Giver, taker *zioflow.Taker) {
		put(t, giver, "a", "b")
		synctest.Wait()
		giver.Abort()
		got, err := take(t, taker, 3)
		if !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("took %v, want all that was put", got)
		}
		checkGone(t, err, taker.FlowID())
		checkGone(t, taker.Close(t.Context()), taker.FlowID())
		if err := giver.Close(t.Context()); !errors.Is(err, zioflow.ErrAborted) {
			t.Errorf("Close after Abort: %v", err)
		}
	})
}

func TestTaker_Abort(t *testing.T) {
	eachWay(t, 1, func(t *testing.T, giver *zioflow.Giver, taker *zioflow.Taker) {
		put(t, giver, "a")
		blocked := background(func() error { return giver.Put(t.Context(), text("b")) })
		if !waiting(blocked) {
			t.Fatal("Put did not wait for credit")
		}
		taker.Abort()
		checkGone(t, <-blocked, giver.FlowID())
		checkGone(t, giver.Put(t.Context(), text("c")), giver.FlowID())
		checkGone(t, giver.Close(t.Context()), giver.FlowID())
		if _, err := taker.Next(t.Context()); !errors.Is(err, zioflow.ErrAborted) {
			t.Errorf("Next after Abort: %v", err)
		}
	})
}

func checkGone(t *testing.T, err error, id uint64) {
	t.Helper()
	end, ok := errors.AsType[*zioflow.FlowError](err)
	if !ok || end.Reason != zioflow.PeerGone || end.FlowID != id || id == 0 || end.Detail == "" || !end.Retry() {
		t.Errorf("got %+v (%v), want PeerGone of flow %d", end, err, id)
	}
	if code := status.Code(err); code != codes.Aborted {
		t.Errorf("%v has status %v, want Aborted", err, code)
	}
}

func TestGiver_Close_unanswered(t *testing.T) {
	eachWay(t, 3, func(t *testing.T, giver *zioflow.Giver, taker *zioflow.Taker) {
		put(t, giver, "a", "b")
		begin := time.Now()
		if err := giver.Close(t.Context()); zioflow.ReasonOf(err) != zioflow.EOTTimeout {
			t.Errorf("Giver.Close: %v", err)
		}
		if waited := time.Since(begin); waited < 30*time.Second || waited > 31*time.Second {
			t.Errorf("waited %v", waited)
		}
		got, err := take(t, taker, 3)
		if zioflow.ReasonOf(err) != zioflow.EOTTimeout || !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("took %v, %v; want all, then EOTTimeout", got, err)
		}
	})
}

func TestTaker_All(t *testing.T) {
	eachWay(t, 2, func(t *testing.T, giver *zioflow.Giver, taker *zioflow.Taker) {
		given := background(func() error {
			put(t, giver, "a", "b", "c", "d", "e")
			return giver.Close(t.Context())
		})
		var got string
		for dat, err := range taker.All(t.Context()) { // breaks off
			got += fmt.Sprintf("%s%d%v", dat.Payload[0], dat.Seqno, err)
			if dat.Seqno == 2 {
				break
			}
		}
		for dat, err := range taker.All(t.Context()) { // goes on
			got += fmt.Sprintf("%s%d%v", dat.Payload[0], dat.Seqno, err)
		}
		if want := "a1<nil>b2<nil>c3<nil>d4<nil>e5<nil>"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if err := <-given; err != nil {
			t.Errorf("giver: %v", err)
		}
	})
}

func TestTaker_All_error(t *testing.T) {
	eachWay(t, 2, func(t *testing.T, giver *zioflow.Giver, taker *zioflow.Taker) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var got []error
		for _, err := range taker.All(ctx) {
			got = append(got, err)
		}
		if len(got) != 1 || !errors.Is(got[0], context.Canceled) {
			t.Errorf("got %v, want one error", got)
		}
	})
}
