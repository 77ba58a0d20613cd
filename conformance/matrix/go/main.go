// Command go is the matrix's peer for clients/go. See ../README.md.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	zioflow "github.com/zioflow/gateway/clients/go"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) < 5 {
		return errors.New("want NAME GRPC ROUTER SET and handler, or client HANDLER and more")
	}
	messages, err := readSet(args[3])
	if err != nil {
		return err
	}
	gateway, err := zioflow.Dial(args[1])
	if err != nil {
		return err
	}
	defer func() { _ = gateway.Close() }()
	p := &peer{name: args[0], role: args[4], gateway: gateway, set: messages}
	if p.role == "handler" {
		return p.handle(ctx)
	}
	for _, handler := range args[5:] {
		if err := p.open(ctx, handler); err != nil {
			return fmt.Errorf("with %s: %w", handler, err)
		}
	}
	return nil
}

type peer struct {
	name, role string
	gateway    *zioflow.Gateway
	set        [][]zioflow.Tensor

	mu sync.Mutex // guards standard output
}

// handle takes and gives until standard input ends.
func (p *peer) handle(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	err := p.gateway.Handle(ctx, zioflow.Listener{
		Name: p.name, Match: fmt.Sprintf("attributes.handler == %q", p.name),
		OnListening: func(uint64) { p.print(map[string]any{"listening": p.name}) },
	}, func(ctx context.Context, offer *zioflow.Offer) error {
		other, _ := offer.Attributes["client"].(string)
		if offer.Direction == zioflow.Inject {
			taker, err := offer.Take(ctx, zioflow.Bot{Credit: 4})
			if err != nil {
				return err
			}
			return p.take(ctx, taker, other)
		}
		giver, err := offer.Give(ctx, zioflow.Bot{Credit: 4})
		if err != nil {
			return err
		}
		return p.give(ctx, giver, other)
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// open gives to a handler, and takes from it.
func (p *peer) open(ctx context.Context, handler string) error {
	bot := zioflow.Bot{Credit: 4, Attributes: map[string]any{"handler": handler, "client": p.name}}
	giver, err := p.gateway.Give(ctx, bot)
	if err != nil {
		return err
	}
	if err := p.give(ctx, giver, handler); err != nil {
		return err
	}
	taker, err := p.gateway.Take(ctx, bot)
	if err != nil {
		return err
	}
	return p.take(ctx, taker, handler)
}

func (p *peer) give(ctx context.Context, giver *zioflow.Giver, other string) error {
	defer giver.Abort()
	var digests []string
	for _, tensors := range p.set {
		var dat zioflow.Dat
		if err := dat.SetTensors(nil, tensors...); err != nil {
			return err
		}
		if err := giver.Put(ctx, dat); err != nil {
			return err
		}
		for _, t := range tensors {
			digests = append(digests, digest(t, t.Data))
		}
	}
	if err := giver.Close(ctx); err != nil {
		return err
	}
	p.report(other, "extract", digests)
	return nil
}

func (p *peer) take(ctx context.Context, taker *zioflow.Taker, other string) error {
	defer taker.Abort()
	var digests []string
	for dat, err := range taker.All(ctx) {
		if err != nil {
			return err
		}
		tensors, _, err := dat.Tensors()
		if err != nil {
			return err
		}
		for _, t := range tensors {
			data, err := elements(t)
			if err != nil {
				return err
			}
			digests = append(digests, digest(t, data))
		}
	}
	p.report(other, "inject", digests)
	return nil
}

func (p *peer) report(other, direction string, digests []string) {
	p.print(map[string]any{"peer": p.name, "role": p.role, "other": other, "direction": direction, "digests": digests})
}

func (p *peer) print(value any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = json.NewEncoder(os.Stdout).Encode(value)
}

// elements is a tensor's data, by way of Go's own type where there is one.
func elements(t zioflow.Tensor) ([]byte, error) {
	through, ok := types[fmt.Sprintf("%c%d", t.Dtype, t.Word)]
	if !ok {
		return t.Data, nil
	}
	return through(t)
}

var types = map[string]func(zioflow.Tensor) ([]byte, error){
	"b1": through[bool], "i1": through[int8], "i2": through[int16], "i4": through[int32], "i8": through[int64],
	"u1": through[uint8], "u2": through[uint16], "u4": through[uint32], "u8": through[uint64],
	"f4": through[float32], "f8": through[float64], "c8": through[complex64], "c16": through[complex128],
}

func through[T zioflow.Element](t zioflow.Tensor) ([]byte, error) {
	typed, err := zioflow.Elements[T](t)
	if err != nil {
		return nil, err
	}
	again, err := zioflow.NewTensor(typed)
	return again.Data, err
}

// digest is that of a tensor's line and data.
func digest(t zioflow.Tensor, data []byte) string {
	shape := "-"
	if len(t.Shape) > 0 {
		shape = strings.ReplaceAll(strings.Trim(fmt.Sprint(t.Shape), "[]"), " ", "x")
	}
	order := "C"
	if len(t.Order) > 0 {
		order = "F"
		if !slices.IsSorted(t.Order) {
			order = fmt.Sprint(t.Order)
		}
	}
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%c%d %s %s\n", t.Dtype, t.Word, shape, order)
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil))
}

// readSet makes the tensors that a file describes, by message.
func readSet(name string) (messages [][]zioflow.Tensor, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	k, between := 0, true
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0:
			between = true
		case fields[0] == "#":
		default:
			if between {
				messages, between = append(messages, nil), false
			}
			t, err := makeTensor(k, fields)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
			last := &messages[len(messages)-1]
			*last = append(*last, t)
			k++
		}
	}
	return messages, nil
}

func makeTensor(k int, fields []string) (t zioflow.Tensor, err error) {
	if len(fields) != 3 {
		return t, errors.New("want dtype, shape and order")
	}
	t.Dtype = fields[0][0]
	if t.Word, err = strconv.Atoi(fields[0][1:]); err != nil {
		return t, err
	}
	size := t.Word
	if fields[1] != "-" {
		for text := range strings.SplitSeq(fields[1], "x") {
			n, err := strconv.Atoi(text)
			if err != nil {
				return t, err
			}
			t.Shape = append(t.Shape, n)
			size *= n
		}
	}
	if fields[2] == "F" {
		for n := range t.Shape {
			t.Order = append(t.Order, n)
		}
	}
	t.Data = make([]byte, size)
	for i := range t.Data {
		b := byte((uint32(i)*2654435761 + uint32(k)*40503 + 1) >> 15)
		if t.Dtype == 'b' {
			b &= 1
		}
		t.Data[i] = b
	}
	return t, nil
}
