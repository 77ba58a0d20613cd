package transport_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// What was delivered before the context ended is returned, also where the one who
// takes is woken by the end of the context.
func TestTakeReturnsWhatIsThereWhenTheContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type taken struct {
			batch []transport.Delivery
			err   error
		}
		o := transport.NewOutbox(10)
		ctx, cancel := context.WithCancelCause(t.Context())
		took := make(chan taken)
		go func() {
			for range 2 {
				batch, err := o.Take(ctx, nil)
				took <- taken{batch, err}
			}
		}()
		synctest.Wait() // it waits in Take
		if err := o.Deliver(transport.Delivery{Type: zio.EOT, Message: &zio.Message{Label: []byte("last")}}); err != nil {
			t.Fatal(err)
		}
		why := errors.New("no longer wanted")
		cancel(why) // before a Flush, so that nothing else wakes it
		if got := <-took; got.err != nil || len(got.batch) != 1 || got.batch[0].Type != zio.EOT {
			t.Errorf("Take returned %d deliveries and %v, want the EOT", len(got.batch), got.err)
		}
		if got := <-took; !errors.Is(got.err, why) || len(got.batch) != 0 {
			t.Errorf("Take returned %d deliveries and %v, want %v", len(got.batch), got.err, why)
		}
	})
}

// What Take has returned counts until the next Take, unless the Link counts by itself.
func TestQueued(t *testing.T) {
	t.Parallel()
	for _, counted := range []bool{true, false} {
		o := transport.NewUncountedOutbox(10)
		if counted {
			o = transport.NewOutbox(10)
		}
		want := func(messages, weight int64) {
			t.Helper()
			if !counted {
				messages, weight = 0, 0
			}
			if m, b := o.Queued(); m != messages || b != weight {
				t.Errorf("counted %v: %d messages of %d bytes are queued, want %d of %d", counted, m, b, messages, weight)
			}
		}
		dat := transport.Delivery{Type: zio.DAT, Message: &zio.Message{Payload: [][]byte{make([]byte, 1000)}}}.Weighed()
		deliver := func() {
			if err := o.Deliver(dat); err != nil {
				t.Fatal(err)
			}
		}
		deliver()
		deliver()
		want(2, 2*dat.Weight)
		if batch, err := o.Take(t.Context(), nil); err != nil || len(batch) != 2 {
			t.Fatalf("%d deliveries, %v", len(batch), err)
		}
		deliver()
		want(3, 3*dat.Weight)
		if batch, err := o.Take(t.Context(), nil); err != nil || len(batch) != 1 {
			t.Fatalf("%d deliveries, %v", len(batch), err)
		}
		want(1, dat.Weight)
		o.Close()
		want(0, 0)
	}
}
