package grpcgo

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// watched is a message that tells what becomes of it.
type watched struct {
	name   string
	log    *record
	steps  atomic.Int64
	pieces mem.BufferSlice
	last   Last
}

// newWatched is a BytesValue with 300 KB of payload in two pieces, and its last byte.
func newWatched(name string, log *record) *watched {
	w := &watched{name: name, log: log}
	data, err := encoding.GetCodecV2(proto.Name).Marshal(wrapperspb.Bytes(make([]byte, 300_000)))
	if err != nil {
		panic(err)
	}
	b := data.Materialize()
	n := len(b) - 1
	w.pieces = mem.BufferSlice{
		&Piece{SliceBuffer: b[:n/2], Steps: &w.steps},
		&Stepping{Buffer: mem.SliceBuffer(b[n/2 : n]), Steps: &w.steps},
		&w.last,
	}
	w.last.Fill(b[n:], &w.steps, w)
	return w
}

func (w *watched) Written() { w.log.add(w.name + " written") }
func (w *watched) Freed()   { w.log.add(w.name + " freed") }

// record is what became of messages, in order.
type record struct {
	mu     sync.Mutex
	events []string // guarded by mu
}

func (r *record) add(event string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
}

func (r *record) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// watchingCodec sends watched messages as they are.
type watchingCodec struct{ encoding.CodecV2 }

func (c watchingCodec) Marshal(v any) (mem.BufferSlice, error) {
	if w, is := v.(*watched); is {
		return w.pieces, nil
	}
	return c.CodecV2.Marshal(v)
}

// serve has a server in memory call handle for each call, and returns a client's stream.
func serve(t *testing.T, handle func(grpc.ServerStream) error) grpc.ClientStream {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	s := grpc.NewServer(
		grpc.ForceServerCodecV2(watchingCodec{encoding.GetCodecV2(proto.Name)}),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error { return handle(stream) }))
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:server",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithInitialWindowSize(64<<10), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(func() {
		cancel()
		_ = conn.Close()
		s.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/any/method")
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: never", what)
		}
	}
}

// TestWhatGRPCDoesWithBuffers: it asks for a message's bytes as the peer makes room for
// them, and frees a message when all of it is written, before it begins with the next.
func TestWhatGRPCDoesWithBuffers(t *testing.T) {
	log := new(record)
	one, two := newWatched("one", log), newWatched("two", log)
	stream := serve(t, func(stream grpc.ServerStream) error {
		if err := stream.SendMsg(one); err != nil {
			return err
		}
		return stream.SendMsg(two)
	})
	await(t, "the first message fills the peer's window", func() bool { return one.steps.Load() > 0 })
	if events := log.all(); len(events) > 0 || two.steps.Load() > 0 {
		t.Errorf("%v, %d steps of the second message, though the peer has read nothing", events, two.steps.Load())
	}
	for i, w := range []*watched{one, two} {
		var m wrapperspb.BytesValue
		if err := stream.RecvMsg(&m); err != nil || len(m.GetValue()) != 300_000 {
			t.Fatalf("message %d: %d bytes, %v", i, len(m.GetValue()), err)
		}
		if w.steps.Load() < 10 { // a frame has 16 KiB
			t.Errorf("message %d was written in %d steps", i, w.steps.Load())
		}
	}
	want := []string{"one written", "one freed", "two written", "two freed"}
	await(t, "both are freed", func() bool { return len(log.all()) >= len(want) })
	if got := log.all(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestAbort: it frees a handler that waits in SendMsg, and what is queued for a peer
// that does not read.
func TestAbort(t *testing.T) {
	log := new(record)
	one, two := newWatched("one", log), newWatched("two", log)
	handled, calls := make(chan error, 1), make(chan context.Context, 1)
	serve(t, func(stream grpc.ServerStream) error {
		calls <- stream.Context()
		if _, ok := ReaderOf(stream.Context()); !ok {
			t.Error("the stream cannot be read")
		}
		if name, ok := Compression(stream.Context()); !ok || name != "" {
			t.Errorf("compression is %q, %v", name, ok)
		}
		err := stream.SendMsg(one)
		if err == nil {
			err = stream.SendMsg(two)
		}
		handled <- err
		return err
	})
	ctx := <-calls
	await(t, "the first message fills the peer's window", func() bool { return one.steps.Load() > 0 })
	if err := Abort(ctx); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-handled:
		if err == nil {
			t.Error("the handler was not told")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the handler still waits")
	}
	await(t, "both are freed", func() bool { return slices.Contains(log.all(), "one freed") })
	if ctx.Err() == nil {
		t.Error("the stream's context has not ended")
	}
}
