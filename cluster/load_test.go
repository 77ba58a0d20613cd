package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// span is how long something lasts that is bad: as long as it takes until it is seen, and
// what ZIO_CLUSTER_SPAN says in the soak.
func span(t *testing.T) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(os.Getenv("ZIO_CLUSTER_SPAN"))
	if err != nil {
		return 4 * time.Second
	}
	return d
}

// soaking skips a test that is too long for every day.
func soaking(t *testing.T) int {
	t.Helper()
	if os.Getenv("ZIO_CLUSTER_TRIALS") == "" {
		t.Skip("ZIO_CLUSTER_TRIALS is not set: scripts/soak.sh does")
	}
	return trials(t)
}

// busy is a flow on which one DAT follows the other.
type busy struct {
	t     *testing.T
	name  string
	moved atomic.Int64
	stop  atomic.Bool
	done  sync.WaitGroup
}

// keepBusy has a flow's sides exchange DATs, each with its number, until finish.
func keepBusy(t *testing.T, name string, client, handler *stream) *busy {
	t.Helper()
	b := &busy{t: t, name: name}
	b.done.Go(func() {
		if err := b.exchange(client, handler); err != nil {
			t.Errorf("the flow %s, after %d messages: %v", name, b.moved.Load(), err)
		}
	})
	return b
}

func (b *busy) exchange(client, handler *stream) error {
	for n := int64(0); !b.stop.Load(); n++ {
		if err := handler.Send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Pay{Pay: &gatewayv1.Pay{Credit: 1}}}); err != nil {
			return err
		}
		m, err := client.Recv()
		if err != nil || m.GetPay().GetCredit() != 1 {
			return fmt.Errorf("in the place of a PAY: %v, %w", m, err)
		}
		text := fmt.Sprint(n)
		if err := client.Send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Dat{Dat: &gatewayv1.Dat{Payload: [][]byte{[]byte(text)}}}}); err != nil {
			return err
		}
		if m, err = handler.Recv(); err != nil {
			return err
		}
		if p := m.GetDat().GetPayload(); len(p) != 1 || string(p[0]) != text {
			return fmt.Errorf("in the place of DAT %d: %v", n, m)
		}
		b.moved.Add(1)
		time.Sleep(time.Millisecond) // it is to be there all the time, not to use up the machine
	}
	return nil
}

// finish ends the exchange, which must have gone on until now.
func (b *busy) finish() {
	b.t.Helper()
	before := b.moved.Load()
	until(b.t, b.name+" goes on", func() bool { return b.moved.Load() > before || b.t.Failed() })
	b.stop.Store(true)
	b.done.Wait()
}

// giveOne accepts a flow and gives a DAT.
func (n *node) giveOne(ctx context.Context, cid uint64) error {
	s, err := gatewayv1.NewFlowServiceClient(n.conn).Open(ctx)
	if err != nil {
		return err
	}
	if err := s.Send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Bot{Bot: &gatewayv1.Bot{Cid: cid, Direction: extract, Credit: 1}}}); err != nil {
		return err
	}
	for {
		m, err := s.Recv()
		switch {
		case err != nil:
			return err
		case m.GetPay() != nil:
			err = errors.Join(s.Send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Dat{Dat: &gatewayv1.Dat{Payload: [][]byte{[]byte("one")}}}}),
				s.Send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Eot{Eot: &gatewayv1.Eot{}}}))
		case m.GetEot() != nil:
			return s.CloseSend()
		}
		if err != nil {
			return err
		}
	}
}
