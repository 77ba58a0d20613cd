package zmqbridge_test

import (
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/native"
	"github.com/zioflow/gateway/zmqbridge"
)

// Takers that ask for far more than the gateway may hold, and do not read: what is in
// the gateway stays within the limit and a message for every flow, and when the takers
// read, all arrives.
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
				o.Stall, o.PressedStall = time.Minute, time.Minute // however long the takers do not read
			})
			offers := make(cids, 1)
			if _, err := b.AddRoute(routing.Route{Name: "test", Factory: offers}); err != nil {
				t.Fatal(err)
			}
			var takers, givers []*native.Flow
			for range flows { // before any data: when the gateway is full it opens none
				taker, giver := openUnread(t, offers, addressOf(bridge, kind), kind)
				takers, givers = append(takers, taker), append(givers, giver)
			}
			var giving sync.WaitGroup
			for i := range flows {
				if err := takers[i].Pay(100); err != nil {
					t.Fatal(err)
				}
				giving.Go(func() { giveAll(t, givers[i], count, size) })
			}
			most := waitUntilStill(t, b)
			// A slab beyond the message, and what each flow has begun to read.
			if bound := int64(limit + flows*(2*size+1<<20)); most > bound {
				t.Errorf("%d bytes were held, want at most %d", most, bound)
			}
			if most < limit/2 {
				t.Errorf("only %d bytes were held: the takers were read to, so this shows nothing", most)
			}
			takeAll(t, takers, count)
			giving.Wait()
		})
	}
}

// openUnread opens a flow whose taker, the client, can be made to stop reading.
func openUnread(t *testing.T, offers cids, address string, kind native.Kind) (taker, giver *native.Flow) {
	t.Helper()
	peer, err := native.DialLimited(kind, address, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = peer.Close(0) })
	opened := make(chan error, 1)
	go func() {
		bot, err := zio.RewriteBot([]byte(`{"flow":"BOT"}`), zio.Extract, 100, <-offers)
		if err == nil {
			giver, err = native.Open(dial(t, kind, address), 0, bot, nil, timeout)
		}
		opened <- err
	}()
	taker, err = native.Open(peer, 0, []byte(`{"flow":"BOT","direction":"inject","credit":100}`), nil, timeout)
	if err := errors.Join(err, <-opened); err != nil {
		t.Fatal(err)
	}
	return taker, giver
}

func giveAll(t *testing.T, giver *native.Flow, count, size int) {
	payload := [][]byte{make([]byte, size)}
	for range count {
		if err := giver.Put([]byte(`{"flow":"DAT"}`), payload); err != nil {
			t.Error(err)
			return
		}
	}
	if err := giver.Close(); err != nil {
		t.Error(err)
	}
}

// waitUntilStill returns the most bytes that were seen to be held, when no flow has
// moved for a while.
func waitUntilStill(t *testing.T, b *broker.Broker) (most int64) {
	t.Helper()
	var before uint64
	still := 0
	for deadline := time.Now().Add(patient); still < 30; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the flows never stood still")
		}
		var moved uint64
		var waiting int64 // libzmq does not tell what it holds
		for _, f := range b.Flows() {
			moved += f.Data.Messages
			waiting += f.QueuedBytes
		}
		most = max(most, b.Held(), waiting)
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
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}
