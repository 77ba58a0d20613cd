package zmqbridge_test

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmtp"
)

// keeper is a sink that keeps the DATs.
type keeper struct {
	mu   sync.Mutex
	kept []transport.Delivery // guarded by mu
}

// Put implements relay.Sink.
func (k *keeper) Put(_ flow.Side, d transport.Delivery) {
	if d.Type != zio.DAT {
		d.Message.Release()
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept = append(k.kept, d)
}

func (k *keeper) all() []transport.Delivery {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.kept
}

// flowOf is the flow that was opened last.
func (g *rig) flowOf() *relay.Flow {
	for f := range g.broker.FlowsBefore(broker.Latest) {
		return f
	}
	g.t.Fatal("there is no flow")
	return nil
}

// TestSinkSharesMemory: what a sink is shown it holds together with the taker, in the
// memory in which it came, for as long as it likes: taker, giver and flow may be gone.
func TestSinkSharesMemory(t *testing.T) {
	t.Parallel()
	const dats, size = 16, 100_000
	eachWay(t, nil, func(t *testing.T, g *rig, kind zmtp.SocketType) {
		taker, giver, sink := g.dial(kind), g.dial(kind), new(keeper)
		g.opens(taker, giver, dats)
		if err := g.flowOf().AddSink(sink); err != nil {
			t.Fatal(err)
		}
		content := func(i int) []byte { return bytes.Repeat([]byte{byte(i + 1)}, size) }
		for i := range dats {
			giver.say(`{"flow":"DAT"}`, content(i))
		}
		for i := range dats {
			if got := taker.want(zio.DAT); !bytes.Equal(got.Part(0).AppendTo(nil), content(i)) {
				t.Errorf("the taker got something else as DAT %d", i)
			}
		}
		g.closes(taker, giver)
		_, _ = giver.Close(), taker.Close()
		until(t, "both have left", func() bool { return peers(g.broker) == 0 })
		kept := sink.all()
		if held := g.broker.Held(); len(kept) != dats || held < dats*size || held > 4*dats*size { // with CURVE each has a slab
			t.Errorf("%d DATs are kept in %d bytes, want %d in slabs for %d", len(kept), held, dats, dats*size)
		}
		for i, d := range kept {
			if !bytes.Equal(d.Message.Part(0).AppendTo(nil), content(i)) {
				t.Errorf("the sink has something else as DAT %d", i)
			}
			d.Message.Release()
		}
		until(t, "nothing is held", func() bool { return g.broker.Held() == 0 })
	})
}

// peers is how many there are.
func peers(b *broker.Broker) (n int) {
	for _, of := range b.Stats().Peers {
		n += of
	}
	return n
}

// TestSinks: there are few, each is shown the same message as the taker, and one that was
// taken out nothing more.
func TestSinks(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(*setup) {})
	giver, taker := g.dial(zmtp.Client), g.inside()
	giver.say(bot(zio.Extract, 10, 0))
	taker.say(bot(zio.Inject, 10, g.offered().CID))
	giver.want(zio.BOT)
	taker.say(`{"flow":"PAY","credit":10}`)
	f := g.flowOf()
	sinks := make([]*keeper, relay.MaxSinks)
	for i := range sinks {
		sinks[i] = new(keeper)
		if err := f.AddSink(sinks[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.AddSink(new(keeper)); !errors.Is(err, relay.ErrTooManySinks) {
		t.Errorf("one more: %v", err)
	}
	giver.want(zio.PAY)
	giver.say(`{"flow":"DAT"}`, []byte("first"))
	var came transport.Delivery
	for came.Type != zio.DAT {
		batch, err := taker.outbox.Take(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		came = batch[len(batch)-1]
	}
	f.RemoveSink(sinks[0])
	giver.say(`{"flow":"DAT"}`, []byte("second"))
	until(t, "the others are shown it", func() bool { return len(sinks[1].all()) == 2 })
	for i, sink := range sinks {
		kept := sink.all()
		if want := min(i+1, 2); len(kept) != want || kept[0].Message != came.Message {
			t.Errorf("sink %d has %d DATs, want %d, the first that of the taker", i, len(kept), want)
		}
		for _, d := range kept {
			if text := string(d.Message.Part(0).AppendTo(nil)); text != "first" && text != "second" {
				t.Errorf("sink %d has %q", i, text)
			}
			d.Message.Release()
		}
	}
	came.Message.Release()
	f.Stop(flow.EndedByAdmin, "enough")
	if err := f.AddSink(new(keeper)); !errors.Is(err, relay.ErrOver) {
		t.Errorf("to a flow that is over: %v", err)
	}
}
