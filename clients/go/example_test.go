package zioflow_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	zioflow "github.com/zioflow/gateway/clients/go"
)

// README.md shows the bodies of examples: TestReadme.

// exampleGateway is a client of a gateway in this process, whose built-in handlers
// dump what is given and generate what is asked for, by their names. Outside of
// examples, this would be:
//
//	gateway, err := zioflow.Dial("127.0.0.1:7575")
func exampleGateway() (gateway *zioflow.Gateway, stop func()) {
	m := newMemory(patient())
	if err := m.builtins.AddRoutes(); err != nil {
		panic(err)
	}
	gateway = dial(m.Listener)
	return gateway, func() {
		_ = gateway.Close()
		m.stop()
	}
}

func ExampleGateway_Give() {
	gateway, stop := exampleGateway()
	defer stop()
	ctx := context.Background()

	giver, err := gateway.Give(ctx, zioflow.Bot{
		Credit:     10,
		Attributes: map[string]any{"builtin": "dump", "run": 4711},
	})
	if err != nil {
		log.Print(err)
		return
	}
	defer giver.Abort() // does nothing after Close
	for _, event := range []string{"first", "second", "third"} {
		if err := giver.Put(ctx, zioflow.Dat{Payload: [][]byte{[]byte(event)}}); err != nil {
			log.Print(err)
			return
		}
	}
	if err := giver.Close(ctx); err != nil { // only now has everything arrived
		log.Print(err)
		return
	}
	fmt.Println("agreed credit:", giver.Bot().Credit, "taken by:", giver.TakenBy().Route)
	// Output: agreed credit: 10 taken by: dump
}

func ExampleGateway_Take() {
	gateway, stop := exampleGateway()
	defer stop()
	ctx := context.Background()

	taker, err := gateway.Take(ctx, zioflow.Bot{
		Credit:     2,
		Attributes: map[string]any{"builtin": "generate", "count": 3, "size": 5},
	})
	if err != nil {
		log.Print(err)
		return
	}
	defer taker.Abort() // does nothing at the end
	for dat, err := range taker.All(ctx) {
		if err != nil {
			log.Print(err)
			return
		}
		fmt.Printf("%d: %x\n", dat.Seqno, dat.Payload[0])
	}
	// Output:
	// 1: 0001020304
	// 2: 0102030405
	// 3: 0203040506
}

func ExampleTaker_Close() {
	gateway, stop := exampleGateway()
	defer stop()
	ctx := context.Background()

	taker, err := gateway.Take(ctx, zioflow.Bot{Credit: 2, Attributes: map[string]any{"builtin": "generate", "count": 1_000_000}})
	if err != nil {
		log.Print(err)
		return
	}
	defer taker.Abort()
	if _, err := taker.Next(ctx); err != nil {
		log.Print(err)
		return
	}
	// One message is enough. The giver is told, and agrees.
	fmt.Println(taker.Close(ctx))
	// Output: <nil>
}

func ExampleGateway_Handle() {
	gateway, stop := exampleGateway()
	defer stop()
	ctx, cancel := context.WithCancel(context.Background())

	listening, stopped := make(chan struct{}), make(chan error)
	go func() {
		stopped <- gateway.Handle(ctx, zioflow.Listener{
			Name:        "writer",
			Match:       `direction == "inject" && attributes.stream == "raw"`,
			MaxFlows:    4,
			OnListening: func(uint64) { close(listening) },
		}, func(ctx context.Context, offer *zioflow.Offer) error {
			if offer.Attributes["run"] == nil {
				return errors.New("no run number") // declines
			}
			taker, err := offer.Take(ctx, zioflow.Bot{Credit: 3})
			if err != nil {
				return err
			}
			for dat, err := range taker.All(ctx) {
				if err != nil {
					return err
				}
				fmt.Printf("run %v: %s\n", offer.Attributes["run"], dat.Payload[0])
			}
			return nil
		})
	}()
	<-listening

	put := func(attributes map[string]any) error {
		giver, err := gateway.Give(ctx, zioflow.Bot{Credit: 10, Attributes: attributes})
		if err != nil {
			return err
		}
		defer giver.Abort()
		if err := giver.Put(ctx, zioflow.Dat{Payload: [][]byte{[]byte("an event")}}); err != nil {
			return err
		}
		return giver.Close(ctx)
	}
	fmt.Println(put(map[string]any{"stream": "raw", "run": 4711}))
	err := put(map[string]any{"stream": "raw"})
	fmt.Println(zioflow.ReasonOf(err), err)
	cancel()
	fmt.Println(<-stopped)
	// Output:
	// run 4711: an event
	// <nil>
	// rejected zioflow: flow 2 ended: rejected: no run number
	// context canceled
}

// The dumper of ZIO's tutorial: takes every flow that is given, and prints it.
func ExampleGateway_Handle_dumper() {
	gateway, stop := exampleGateway()
	defer stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	dumped := make(chan struct{})
	dumper := func(ctx context.Context, offer *zioflow.Offer) error {
		taker, err := offer.Take(ctx, zioflow.Bot{Credit: 10})
		if err != nil {
			return err
		}
		defer taker.Abort()
		for dat, err := range taker.All(ctx) { // and pays for them
			if err != nil {
				return err
			}
			fmt.Printf("%d %s %q\n", dat.Seqno, dat.Label, dat.Payload)
		}
		fmt.Println("EOT")
		close(dumped) // there is one flow only
		return nil
	}

	// The factory: what it refuses to handle, its Match leaves to others.
	listener := zioflow.Listener{Name: "dumper", Match: `direction == "inject"`}
	listening, stopped := make(chan struct{}), make(chan error)
	listener.OnListening = func(uint64) { close(listening) }
	go func() { stopped <- gateway.Handle(ctx, listener, dumper) }()
	<-listening

	giver, err := gateway.Give(ctx, zioflow.Bot{Credit: 2, Attributes: map[string]any{"stream": "s1"}})
	if err != nil {
		log.Print(err)
		return
	}
	defer giver.Abort()
	for n := range 3 {
		dat := zioflow.Dat{Label: fmt.Appendf(nil, `{"flow":"DAT","n":%d}`, n), Payload: [][]byte{{'x'}, {byte('0' + n)}}}
		if err := giver.Put(ctx, dat); err != nil {
			log.Print(err)
			return
		}
	}
	fmt.Println(giver.Close(ctx))
	<-dumped
	cancel()
	fmt.Println(<-stopped)
	// Unordered output:
	// 1 {"flow":"DAT","n":0} ["x" "0"]
	// 2 {"flow":"DAT","n":1} ["x" "1"]
	// 3 {"flow":"DAT","n":2} ["x" "2"]
	// EOT
	// <nil>
	// context canceled
}

func ExampleGateway_Serve() {
	gateway, stop := exampleGateway()
	defer stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	listener := zioflow.Listener{
		Name:        "archive",
		Match:       `attributes.stream == "raw"`,
		OnListening: func(id uint64) { fmt.Println("listening as", id) },
		OnLost:      func(err error, retry time.Duration) { log.Printf("%v; again in %v", err, retry) },
	}
	archive := func(ctx context.Context, offer *zioflow.Offer) error {
		taker, err := offer.Take(ctx, zioflow.Bot{})
		if err != nil {
			return err
		}
		for dat, err := range taker.All(ctx) {
			if err != nil {
				return err
			}
			fmt.Printf("archived %s\n", dat.Payload[0])
		}
		cancel() // one flow is enough here
		return nil
	}
	go func() {
		bot := zioflow.Bot{Credit: 1, Attributes: map[string]any{"stream": "raw"}}
		giver, err := gateway.Give(ctx, bot) // waits for its handler
		if err != nil {
			log.Print(err)
			return
		}
		defer giver.Abort()
		if err := giver.Put(ctx, zioflow.Dat{Payload: [][]byte{[]byte("an event")}}); err != nil {
			log.Print(err)
			return
		}
		_ = giver.Close(ctx)
	}()
	fmt.Println(gateway.Serve(ctx, listener, archive))
	// Output:
	// listening as 1
	// archived an event
	// context canceled
}

func ExampleDat_SetTensors() {
	samples := []float32{1, 2, 3, 4, 5, 6}
	waveform, err := zioflow.NewTensor(samples, 2, 3) // two rows of three
	if err != nil {
		log.Print(err)
		return
	}
	var dat zioflow.Dat
	if err := dat.SetTensors(map[string]any{"run": "42"}, waveform); err != nil {
		log.Print(err)
		return
	}
	// It is given, taken, and then:
	tensors, metadata, err := dat.Tensors()
	if err != nil {
		log.Print(err)
		return
	}
	got, err := zioflow.Elements[float32](tensors[0])
	fmt.Println(tensors[0].Shape, got, metadata, err)
	// Output: [2 3] [1 2 3 4 5 6] map[run:42] <nil>
}

func ExampleGateway_PutAll() {
	gateway, stop := exampleGateway()
	defer stop()

	events := func(yield func(zioflow.Dat, error) bool) {
		for i := range 100 {
			if !yield(zioflow.Dat{Payload: [][]byte{make([]byte, i)}}, nil) {
				return
			}
		}
	}
	bot := zioflow.Bot{Credit: 10, Attributes: map[string]any{"builtin": "dump"}}
	summary, err := gateway.PutAll(context.Background(), bot, events)
	fmt.Println(summary.Messages, summary.Bytes, summary.TakenBy.Route, err)
	// Output: 100 4950 dump <nil>
}

func ExampleGateway_GetAll() {
	gateway, stop := exampleGateway()
	defer stop()

	bot := zioflow.Bot{Credit: 10, Attributes: map[string]any{"builtin": "generate", "count": 3, "size": 1}}
	for dat, err := range gateway.GetAll(context.Background(), bot) {
		if err != nil {
			log.Print(err)
			return
		}
		fmt.Printf("%x\n", dat.Payload[0])
	}
	// Output:
	// 00
	// 01
	// 02
}

func ExampleFlowError() {
	gateway, stop := exampleGateway()
	defer stop()

	_, err := gateway.Take(context.Background(), zioflow.Bot{Attributes: map[string]any{"builtin": "generate", "size": -1}})
	if end, ok := errors.AsType[*zioflow.FlowError](err); ok {
		fmt.Println(end.Reason == zioflow.Rejected, end.Retry(), end.Detail)
	}
	// Output: true false attribute size is -1, want an integer from 0 to 67108864
}
