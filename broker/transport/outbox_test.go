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
