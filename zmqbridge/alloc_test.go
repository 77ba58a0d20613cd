package zmqbridge_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/native"
	"github.com/zioflow/gateway/zmqbridge"
)

// cids hands the cids of its offers to a test, which is the handler.
type cids chan uint64

// Find implements routing.Factory.
func (c cids) Find(_ context.Context, r *routing.Request) error {
	o, err := r.Offer()
	if err == nil {
		c <- o.CID
	}
	return err
}

// openBetween opens a flow between two native peers, of which the giver has been
// paid all the credit.
func openBetween(t *testing.T, b *broker.Broker, bridge zmqbridge.Bridge, giver, taker native.Kind, credit int64) (give, take *native.Peer) {
	t.Helper()
	offers := make(cids, 1)
	if _, err := b.AddRoute(routing.Route{Name: "test", Factory: offers}); err != nil {
		t.Fatal(err)
	}
	give, take = dial(t, giver, addressOf(bridge, giver)), dial(t, taker, addressOf(bridge, taker))
	exchange := func(peer *native.Peer, label []byte, want zio.Type) {
		if label != nil {
			if err := peer.Send(&zio.Message{Form: zio.FormFlow, Label: label}); err != nil {
				t.Fatal(err)
			}
		}
		if want == zio.NoType {
			return
		}
		m, err := peer.Receive(timeout)
		if err != nil {
			t.Fatal(err)
		}
		if head, err := zio.Peek(m.Label); err != nil || head.Type != want {
			t.Fatalf("%s came, want %v", m.Label, want)
		}
	}
	bot, err := zio.RewriteBot([]byte(`{"flow":"BOT"}`), zio.Inject, credit, 0)
	if err != nil {
		t.Fatal(err)
	}
	exchange(take, bot, zio.NoType)
	if bot, err = zio.RewriteBot(bot, zio.Extract, credit, <-offers); err != nil {
		t.Fatal(err)
	}
	exchange(give, bot, zio.BOT)
	exchange(take, nil, zio.BOT)
	pay, err := zio.Supply(nil, zio.PAY, credit)
	if err != nil {
		t.Fatal(err)
	}
	exchange(take, pay, zio.NoType)
	exchange(give, nil, zio.PAY)
	return give, take
}

func addressOf(bridge zmqbridge.Bridge, kind native.Kind) string {
	if kind == native.Dealer {
		return bridge.Routers()[0]
	}
	return bridge.Servers()[0]
}

// count is how many messages are looked at at a time, rounds how many times; a flow
// carries as many as its credit without the taker's doing anything.
const count, rounds = 150, 6

// A DAT between native peers costs no memory of Go's: neither the garbage
// collector nor a copy is to hold it up.
func TestNoAllocation(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector has pools forget at random")
	}
	for _, kind := range []native.Kind{native.Client, native.Dealer} {
		for _, size := range []int{100, 100_000} {
			t.Run(fmt.Sprintf("%v %d", kind, size), func(t *testing.T) {
				testNoAllocation(t, kind, size)
			})
		}
	}
}

func testNoAllocation(t *testing.T, kind native.Kind, size int) {
	b, bridge := openWith(t, func(o *broker.Options) { o.MaxMessage = size }, func(o *zmqbridge.Options) {
		o.Servers, o.Routers = []string{"tcp://127.0.0.1:*"}, []string{"tcp://127.0.0.1:*"}
	})
	give, take := openBetween(t, b, bridge, kind, kind, rounds*count)
	dat := datParts(kind, size)
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it would empty the pools
	least := math.MaxInt
	for round := range rounds { // at first there is not room for as many at once
		least = min(least, allocations(t, b, round, func() error { return give.SendRaw(dat...) }))
	}
	if kind == native.Dealer {
		least -= count // by the binding, for the giver's empty delimiter
	}
	if least > count/3 { // the test's own are a few, by whatever number of messages
		t.Errorf("%d allocations for %d messages", least, count)
	}
	for range rounds * count {
		if m, err := take.Receive(timeout); err != nil || m.Size() != size {
			t.Fatalf("%v came, %v", m, err)
		}
	}
}

// allocations counts them while one more round of messages is relayed.
func allocations(t *testing.T, b *broker.Broker, round int, send func() error) int {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range count {
		if err := send(); err != nil {
			t.Fatal(err)
		}
	}
	waitForData(t, b, uint64((round+1)*count))
	runtime.ReadMemStats(&after)
	return int(after.Mallocs - before.Mallocs)
}

// datParts is a DAT as a peer of that kind sends it.
func datParts(kind native.Kind, size int) [][]byte {
	m := &zio.Message{Form: zio.FormFlow, Label: []byte(`{"flow":"DAT"}`), Payload: [][]byte{make([]byte, size)}}
	if kind == native.Client {
		return [][]byte{m.AppendEncoded(nil)}
	}
	return append([][]byte{nil, m.AppendPrefix(nil), m.AppendCoord(nil)}, m.Payload...)
}

// waitForData waits until the one flow has carried so many DATs.
func waitForData(t *testing.T, b *broker.Broker, want uint64) {
	t.Helper()
	for deadline := time.Now().Add(timeout); ; time.Sleep(50 * time.Millisecond) {
		if flows := b.Flows(); flows[0].Data.Messages >= want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not all of %d messages were relayed", want)
		}
	}
}
