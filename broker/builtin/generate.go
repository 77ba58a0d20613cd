package builtin

import (
	"context"
	"fmt"
	"sync"

	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

const (
	defaultCount = 10
	defaultSize  = 64
	period       = 251 // of the pattern: a prime, so that it shifts against powers of two
)

// Generate returns a factory whose handlers give `count` DATs (default 10) of
// `size` bytes (default 64), both attributes of the client's BOT. Byte i of the
// n-th payload, both from 0, is (n+i) mod 251.
func (h *Handlers) Generate() routing.Factory {
	limit := int64(h.broker.Options().MaxMessage)
	return factory{
		handlers: h, name: "generate", direction: zio.Extract,
		prepare: func(o routing.Offer) (serve, error) {
			attributes := zio.Attributes(o.Bot.Label)
			count, err := integer(attributes, "count", defaultCount, 1<<53)
			if err != nil {
				return nil, err
			}
			size, err := integer(attributes, "size", defaultSize, limit)
			if err != nil {
				return nil, err
			}
			return func(ctx context.Context, s *session) error {
				return generate(ctx, s, uint64(count), int(size))
			}, nil
		},
	}
}

// integer reads an attribute between 0 and limit. Numbers that came through
// JavaScript or protobuf's Struct are floats; they count if they are whole.
func integer(attributes map[string]any, key string, missing, limit int64) (int64, error) {
	value, ok := attributes[key]
	if !ok {
		return missing, nil
	}
	if unread, is := value.(zio.Unread); is {
		return 0, fmt.Errorf("attribute %s %s, want an integer from 0 to %d", key, string(unread), limit)
	}
	n, ok := value.(int64)
	if f, isFloat := value.(float64); isFloat && f == float64(int64(f)) {
		n, ok = int64(f), true
	}
	if !ok || n < 0 || n > limit {
		return 0, fmt.Errorf("attribute %s is %v, want an integer from 0 to %d", key, value, limit)
	}
	return n, nil
}

// pattern is what all flows give, so that no flow holds memory for it: the period,
// repeated.
var pattern = sync.OnceValue(func() []byte {
	block := make([]byte, blockSize+period)
	for i := range block {
		block[i] = byte(i % period)
	}
	return block
})

// blockSize is how much of the pattern there is, a multiple of the period; a larger
// payload repeats it.
const blockSize = 256 * period

// payload is the pattern from there on, in pieces of the block that all share.
func payload(from, size int) (pieces [][]byte) {
	block := pattern()
	for first := true; size > 0 || first; first = false {
		n := min(size, blockSize)
		pieces = append(pieces, block[from:from+n:from+n])
		size -= n
	}
	return pieces
}

func generate(ctx context.Context, s *session, count uint64, size int) error {
	label := []byte(`{"flow":"DAT"}`)
	var sent, credit uint64
	for sent < count {
		for ; credit > 0 && sent < count; credit-- {
			s.sendPieces(label, payload(int(sent%period), size))
			sent++
		}
		if sent == count {
			break
		}
		paid, eot, err := s.collect(ctx)
		if err != nil {
			return err
		}
		if eot != nil {
			return s.finish(*eot)
		}
		credit += paid
	}
	s.send([]byte(`{"flow":"EOT"}`), nil)
	for {
		_, eot, err := s.collect(ctx)
		if err != nil || eot != nil {
			return err
		}
	}
}

// collect waits for messages and answers the credit in them, or the EOT.
func (s *session) collect(ctx context.Context) (paid uint64, eot *transport.Delivery, err error) {
	batch, err := s.take(ctx)
	if err != nil {
		return 0, nil, err
	}
	for i, d := range batch {
		d.Message.Release()
		switch d.Type {
		case zio.PAY:
			paid += uint64(d.Credit)
		case zio.EOT:
			return paid, &batch[i], nil
		}
	}
	return paid, nil, nil
}
