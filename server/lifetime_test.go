package server

import (
	"context"
	"errors"
	"fmt"

	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/test/bufconn"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/server/codec"
)

// These tests pair a stream with a peer in this process, the other side, whose
// messages tell when they are released.

const heavy = 100 << 10 // bytes of a DAT: some frames, and more than a stream may have unwritten

// rig is a broker with a server on a pool that counts, and a client.
type rig struct {
	broker *broker.Broker
	server *Server
	frames *countingPool
	conn   *grpc.ClientConn
	flows  gatewayv1.FlowServiceClient
	offers chan routing.Offer
	wires  chan net.Conn // the client's connections
	dial   func(context.Context) (net.Conn, error)
	ctx    context.Context
	stop   func()
}

// Offer implements listeners.Sink.
func (r *rig) Offer(o routing.Offer) error { r.offers <- o; return nil }

// Withdraw implements listeners.Sink.
func (r *rig) Withdraw(uint64, flow.Reason) {}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigWith(t, func(*Options) {})
}

func newRigWith(t *testing.T, change func(*Options)) *rig {
	t.Helper()
	return newRigFor(t, 5*time.Minute, change)
}

// newSlowRig is for tests that have a clock of their own.
func newSlowRig(t *testing.T, change func(*Options)) *rig {
	t.Helper()
	return newRigFor(t, 48*time.Hour, change)
}

func newRigFor(t *testing.T, patience time.Duration, change func(*Options)) *rig {
	t.Helper()
	limits := broker.DefaultOptions()
	b, err := broker.New(limits)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{broker: b, frames: new(countingPool), offers: make(chan routing.Offer, 1), wires: make(chan net.Conn, 1)}
	options := DefaultOptions(limits)
	change(&options)
	s := newServer(b, options, r.frames)
	r.server = s
	listener := bufconn.Listen(1 << 20)
	r.dial = listener.DialContext
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	r.conn, err = grpc.NewClient("passthrough:gateway",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			wire, err := listener.DialContext(ctx)
			select {
			case r.wires <- wire:
			default: // the test is over, the client has not noticed
			}
			return wire, err
		}),
		grpc.WithInitialWindowSize(64<<10), // and no more: who does not read is soon sent nothing
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	r.flows = gatewayv1.NewFlowServiceClient(r.conn)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	r.ctx = ctx
	if _, err := b.Listen(listeners.Spec{Name: "other side", Sink: r}); err != nil {
		t.Fatal(err)
	}
	r.stop = func() {
		b.Close(flow.Draining, "the test is over")
		_ = r.conn.Close()
		s.Stop(ctx)
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
	return r
}

// countingPool counts the buffers that are out.
type countingPool struct {
	codec.FramePool
	out atomic.Int64
}

func (p *countingPool) Get(n int) *[]byte {
	p.out.Add(1)
	return p.FramePool.Get(n)
}

func (p *countingPool) Put(b *[]byte) {
	p.out.Add(-1)
	p.FramePool.Put(b)
}

// exchange is one whose stream is the test's business.
func (r *rig) exchange(stall time.Duration) *flowStream {
	service := &flowService{broker: r.broker, log: logs.NewSampler(nil, logs.Options{}), stall: stall, grace: time.Millisecond}
	return service.newFlowStream(r.ctx)
}

// otherSide is the handler of the flow that a stream has opened.
type otherSide struct {
	outbox *transport.Outbox
	peer   *broker.Peer
	batch  []transport.Delivery // taken, and not looked at
	paid   bool                 // a PAY came right after the BOT
	seqno  uint64
	made   int64
	freed  atomic.Int64
	twice  atomic.Bool
}

// accept takes the next offer, and the BOT that comes back.
func (r *rig) accept(t *testing.T) *otherSide {
	t.Helper()
	return r.acceptWith(t, nil)
}

// acceptWith is accept with a payload in the BOT.
func (r *rig) acceptWith(t *testing.T, payload [][]byte) *otherSide {
	t.Helper()
	o := &otherSide{outbox: transport.NewOutbox(1000)}
	o.peer = r.broker.Attach(o.outbox, transport.PeerInfo{Transport: "test"})
	o.peer.Pauses() // it says no more than the test does
	o.say(string((<-r.offers).Bot.Label), payload)
	batch, err := o.outbox.Take(r.ctx, nil)
	if err != nil || batch[0].Type != zio.BOT {
		t.Fatalf("got %v, %v, want BOT", batch, err)
	}
	o.paid = len(batch) > 1
	return o
}

func (o *otherSide) say(label string, payload [][]byte) {
	o.made++
	m := &zio.Message{Form: zio.FormFlow, Label: []byte(label), Payload: payload, Coord: zio.Coord{Seqno: o.seqno}}
	m.Carry(&told{side: o})
	o.seqno++
	o.peer.Receive(m)
}

// told tells the other side that its message was released.
type told struct {
	side *otherSide
	done atomic.Bool
}

func (c *told) Hold() {}

func (c *told) Release() {
	if c.done.Swap(true) {
		c.side.twice.Store(true)
	}
	c.side.freed.Add(1)
}

// await waits until it is so; the garbage collector has its part in it.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: never", what)
		}
	}
}

func openRequest(r *gatewayv1.OpenRequest, to gatewayv1.FlowService_OpenClient, t *testing.T) {
	t.Helper()
	if err := to.Send(r); err != nil {
		t.Fatal(err)
	}
}

func botOf(direction gatewayv1.Direction, credit int64) *gatewayv1.OpenRequest {
	return &gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Bot{Bot: &gatewayv1.Bot{Direction: direction, Credit: credit}}}
}

func payOf(credit int64) *gatewayv1.OpenRequest {
	return &gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Pay{Pay: &gatewayv1.Pay{Credit: credit}}}
}

// taken is a message to a taker by Get or Open.
type taken interface {
	GetBot() *gatewayv1.Bot
	GetDat() *gatewayv1.Dat
	GetEot() *gatewayv1.Eot
}

// take opens a flow that takes, and pays for all of its credit: by Get, or by Open and
// then with its sending half closed. It has read the BOT.
func (r *rig) take(t *testing.T, call string, credit int64) (*otherSide, func(*testing.T) taken) {
	t.Helper()
	var recv func() (taken, error)
	var other *otherSide
	if call == "Get" {
		stream, err := r.flows.Get(r.ctx, &gatewayv1.GetRequest{Bot: &gatewayv1.Bot{Credit: credit}})
		if err != nil {
			t.Fatal(err)
		}
		recv = func() (taken, error) { return stream.Recv() }
		other = r.accept(t)
	} else {
		stream, err := r.flows.Open(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		openRequest(botOf(gatewayv1.Direction_DIRECTION_INJECT, credit), stream, t)
		recv = func() (taken, error) { return stream.Recv() }
		other = r.accept(t)
		openRequest(payOf(credit), stream, t)
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
	}
	read := func(t *testing.T) taken {
		t.Helper()
		m, err := recv()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if read(t).GetBot() == nil {
		t.Fatal("the first message is no BOT")
	}
	other.takePay(t, r)
	return other, read
}

// openAsClient has the other side open a flow, with that BOT.
func (r *rig) openAsClient(t *testing.T, label string) *otherSide {
	t.Helper()
	o := &otherSide{outbox: transport.NewOutbox(1000)}
	o.peer = r.broker.Attach(o.outbox, transport.PeerInfo{Transport: "test"})
	o.peer.Pauses() // it says no more than the test does
	o.say(label, nil)
	return o
}

// want takes what the other side is sent next, which must be of that type.
func (o *otherSide) want(t *testing.T, r *rig, want zio.Type) transport.Delivery {
	t.Helper()
	if len(o.batch) == 0 {
		batch, err := o.outbox.Take(r.ctx, nil)
		if err != nil {
			t.Fatalf("got %v, want %v", err, want)
		}
		o.batch = batch
	}
	d := o.batch[0]
	o.batch = o.batch[1:]
	if d.Message.Release(); d.Type != want {
		t.Fatalf("got %v, want %v", d.Type, want)
	}
	return d
}

// wantEnd takes what the other side is sent, up to its flow's end.
func (o *otherSide) wantEnd(t *testing.T, r *rig, want flow.Reason) {
	t.Helper()
	for {
		batch, err := o.outbox.Take(r.ctx, nil)
		if end, ended := errors.AsType[*flow.Error](err); ended {
			if end.Reason != want {
				t.Errorf("the other side's flow ended with %v, %s, want %v", end.Reason, end.Detail, want)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range batch {
			d.Message.Release()
		}
	}
}

// readOn reads until the stream ends.
func readOn(stream gatewayv1.FlowService_OpenClient) {
	for {
		if _, err := stream.Recv(); err != nil {
			return
		}
	}
}

// TestMessagesToAStreamAreReleased: what is sent to a stream is released once,
// however its flow ends, and counts as queued until then.
func TestMessagesToAStreamAreReleased(t *testing.T) {
	const dats = 10
	for name, end := range map[string]func(t *testing.T, r *rig, stream gatewayv1.FlowService_OpenClient, cancel func()){
		"read to the EOT": func(t *testing.T, _ *rig, stream gatewayv1.FlowService_OpenClient, _ func()) {
			for got := 0; got < dats; got++ {
				if m, err := stream.Recv(); err != nil || len(m.GetDat().GetPayload()[0]) != heavy {
					t.Fatalf("DAT %d: %v, %v", got, m, err)
				}
			}
			if m, err := stream.Recv(); err != nil || m.GetEot() == nil {
				t.Fatalf("got %v, %v, want EOT", m, err)
			}
			openRequest(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Eot{Eot: &gatewayv1.Eot{}}}, stream, t)
			if m, err := stream.Recv(); err == nil {
				t.Fatalf("got %v after the EOT", m)
			}
		},
		"cancelled": func(_ *testing.T, _ *rig, _ gatewayv1.FlowService_OpenClient, cancel func()) { cancel() },
		"killed":    func(_ *testing.T, r *rig, _ gatewayv1.FlowService_OpenClient, _ func()) { _ = (<-r.wires).Close() },
		"drained": func(_ *testing.T, r *rig, stream gatewayv1.FlowService_OpenClient, _ func()) {
			r.broker.Close(flow.Draining, "going down")
			readOn(stream)
		},
		"protocol error": func(t *testing.T, _ *rig, stream gatewayv1.FlowService_OpenClient, _ func()) {
			openRequest(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Dat{Dat: &gatewayv1.Dat{}}}, stream, t)
			readOn(stream)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			defer r.stop()
			ctx, cancel := context.WithCancel(r.ctx)
			defer cancel()
			stream, err := r.flows.Open(ctx)
			if err != nil {
				t.Fatal(err)
			}
			openRequest(botOf(gatewayv1.Direction_DIRECTION_INJECT, dats), stream, t)
			other := r.accept(t)
			if _, err := stream.Recv(); err != nil {
				t.Fatal(err)
			}
			openRequest(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Pay{Pay: &gatewayv1.Pay{Credit: dats}}}, stream, t)
			if batch, err := other.outbox.Take(r.ctx, nil); err != nil || batch[0].Type != zio.PAY {
				t.Fatalf("got %v, %v, want PAY", batch, err)
			}
			for range dats {
				other.say(`{"flow":"DAT"}`, [][]byte{make([]byte, heavy)})
			}
			other.say(`{"flow":"EOT"}`, nil)
			end(t, r, stream, cancel)
			await(t, "all is released", func() bool {
				runtime.GC() // finds what gRPC has lost with a connection
				return other.freed.Load() >= other.made
			})
			if n := other.freed.Load(); n != other.made || other.twice.Load() {
				t.Errorf("%d messages were released %d times", other.made, n)
			}
		})
	}
}

// TestStreamCountsWhatGRPCHasNotWritten: a taker that does not read leaves all
// that it has paid for queued.
func TestStreamCountsWhatGRPCHasNotWritten(t *testing.T) {
	const dats = 5
	r := newRig(t)
	defer r.stop()
	x := r.exchange(time.Minute)
	stream := new(heldStream)
	out := newSender(stream, x, codec.OpenMembers)
	for range dats {
		if err := x.Deliver(transport.Delivery{Type: zio.DAT, Message: &zio.Message{Payload: [][]byte{make([]byte, heavy)}}}.Weighed()); err != nil {
			t.Fatal(err)
		}
	}
	batch, err := out.take(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i := range batch {
		if err := out.Send(&batch[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i, buffers := range stream.held {
		if messages, bytes := x.Queued(); messages != int64(dats-i) || bytes != int64(dats-i)*heavy {
			t.Errorf("with %d written, %d messages of %d bytes are queued", i, messages, bytes)
		}
		buffers.Free() // written
	}
	if messages, bytes := x.Queued(); messages != 0 || bytes != 0 {
		t.Errorf("%d messages of %d bytes are queued in the end", messages, bytes)
	}
	x.leave("the test is over")
}

// TestFramesFromAStreamAreReturned: the frames in which messages came go back to
// their pool, however the flow ends.
func TestFramesFromAStreamAreReturned(t *testing.T) {
	const dats = 10
	for name, end := range map[string]func(t *testing.T, r *rig, stream gatewayv1.FlowService_OpenClient, cancel func()){
		"EOT": func(t *testing.T, _ *rig, stream gatewayv1.FlowService_OpenClient, _ func()) {
			openRequest(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Eot{Eot: &gatewayv1.Eot{Payload: [][]byte{make([]byte, heavy)}}}}, stream, t)
		},
		"cancelled": func(_ *testing.T, _ *rig, _ gatewayv1.FlowService_OpenClient, cancel func()) { cancel() },
		"killed":    func(_ *testing.T, r *rig, _ gatewayv1.FlowService_OpenClient, _ func()) { _ = (<-r.wires).Close() },
		"no credit": func(t *testing.T, _ *rig, stream gatewayv1.FlowService_OpenClient, _ func()) {
			openRequest(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Dat{Dat: &gatewayv1.Dat{Payload: [][]byte{make([]byte, heavy)}}}}, stream, t)
		},
		"bad label": func(t *testing.T, _ *rig, stream gatewayv1.FlowService_OpenClient, _ func()) {
			openRequest(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Dat{Dat: &gatewayv1.Dat{Label: "x", Payload: [][]byte{make([]byte, heavy)}}}}, stream, t)
		},
	} {
		for _, read := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/read %v", name, read), func(t *testing.T) {
				r := newRig(t)
				defer r.stop()
				ctx, cancel := context.WithCancel(r.ctx)
				defer cancel()
				stream, err := r.flows.Open(ctx)
				if err != nil {
					t.Fatal(err)
				}
				openRequest(botOf(gatewayv1.Direction_DIRECTION_EXTRACT, dats), stream, t)
				other := r.accept(t)
				other.say(`{"flow":"PAY","credit":10}`, nil)
				for range dats {
					openRequest(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Dat{Dat: &gatewayv1.Dat{Payload: [][]byte{make([]byte, heavy)}}}}, stream, t)
				}
				const taken = 1 // the BOT
				await(t, "all has come", func() bool { n, _ := other.outbox.Queued(); return n == taken+dats })
				if r.frames.out.Load() < dats*heavy/(16<<10) {
					t.Error("the messages do not lie in the frames in which they came")
				}
				end(t, r, stream, cancel)
				// Of what gRPC has not handed out when a stream ends, the frames are the garbage
				// collector's: it has to have handed out all.
				await(t, "the EOT has come", func() bool { n, _ := other.outbox.Queued(); return n == taken+dats+1 })
				for got := 0; read && got <= dats; { // and the EOT
					batch, err := other.outbox.Take(r.ctx, nil)
					if err != nil {
						t.Fatal(err)
					}
					for _, d := range batch {
						d.Message.Release()
					}
					got += len(batch)
				}
				other.outbox.Close()
				other.peer.Leave("the test is over")
				await(t, "all frames are back", func() bool { return r.frames.out.Load() == 0 })
			})
		}
	}
}

// heldStream is a stream on which nothing is written: it keeps what it is given.
type heldStream struct {
	grpc.ServerStream
	held []mem.BufferSlice
}

// SendMsg implements grpc.ServerStream.
func (s *heldStream) SendMsg(m any) error {
	buffers, err := codec.New().Marshal(m)
	s.held = append(s.held, buffers)
	return err
}
