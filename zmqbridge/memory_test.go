package zmqbridge_test

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/internal/native"
	"github.com/zioflow/gateway/zmqbridge"
)

// Takers that ask for far more than the gateway may hold, and do not read: the
// bytes that wait stay within the limit and a message for every flow, and when
// the takers read, all arrives.
func TestMemoryIsBounded(t *testing.T) {
	const (
		flows, count, size = 6, 60, 1 << 20
		limit              = 16 << 20
	)
	for _, kind := range []native.Kind{native.Client, native.Dealer} {
		t.Run(kind.String(), func(t *testing.T) {
			b, bridge := openWith(t, func(o *broker.Options) {
				o.MaxMessage, o.MaxBytes, o.MaxFlowBytes = size, limit, limit
			}, func(o *zmqbridge.Options) {
				o.Servers, o.Routers = []string{"tcp://127.0.0.1:*"}, []string{"tcp://127.0.0.1:*"}
				o.Stall = time.Minute
			})
			address := bridge.Servers()[0]
			if kind == native.Dealer {
				address = bridge.Routers()[0]
			}
			var takers []*native.Flow
			for range flows {
				peer, err := native.DialLimited(kind, address, 1)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = peer.Close(0) }()
				label := fmt.Sprintf(`{"flow":"BOT","direction":"inject","credit":100,"count":%d,"size":%d}`, count, size)
				f, err := native.Open(peer, 0, []byte(label), nil, timeout)
				if err != nil {
					t.Fatal(err)
				}
				takers = append(takers, f)
			}
			for _, f := range takers {
				if err := f.Pay(100); err != nil {
					t.Fatal(err)
				}
			}
			most := waitUntilStill(t, b)
			if bound := int64(limit + flows*size + 1<<16); most > bound {
				t.Errorf("%d bytes waited, want at most %d", most, bound)
			}
			if most < limit/4 {
				t.Errorf("only %d bytes waited: the takers were read to, so this shows nothing", most)
			}
			takeAll(t, takers, count)
		})
	}
}

// waitUntilStill answers the most bytes that were seen waiting, when no flow has
// moved for a while.
func waitUntilStill(t *testing.T, b *broker.Broker) (most int64) {
	t.Helper()
	var before uint64
	still := 0
	for deadline := time.Now().Add(timeout); still < 30; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the flows never stood still")
		}
		var moved uint64
		var waiting int64
		for _, f := range b.Flows() {
			moved += f.Data.Messages
			waiting += f.QueuedBytes
		}
		most = max(most, waiting)
		if still++; moved != before {
			still = 0
		}
		before = moved
	}
	return most
}

func takeAll(t *testing.T, takers []*native.Flow, count int) {
	t.Helper()
	var wait sync.WaitGroup
	for _, f := range takers {
		wait.Go(func() {
			got := 0
			for {
				_, err := f.Get()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Errorf("after %d messages: %v", got, err)
					return
				}
				got++
			}
			if got != count {
				t.Errorf("%d messages arrived, want %d", got, count)
			}
		})
	}
	wait.Wait()
}
