package main

import (
	"context"
	"errors"
	"time"

	"github.com/zioflow/gateway/broker/zio"
	zioflow "github.com/zioflow/gateway/clients/go"
)

// grpcTransfer is a transfer over gRPC. One of giver and taker is set.
type grpcTransfer struct {
	gateway *zioflow.Gateway
	giver   *zioflow.Giver
	taker   *zioflow.Taker
	timeout time.Duration
}

func openGRPC(c *transferFlags, address string, direction zio.Direction, attributes map[string]any) (_ transfer, err error) {
	gateway, err := zioflow.Dial(address)
	if err != nil {
		return nil, err
	}
	t := &grpcTransfer{gateway: gateway, timeout: c.Timeout}
	ctx := context.Background() // bounds the whole flow, not only its beginning
	bot := zioflow.Bot{Attributes: attributes, Credit: c.Credit}
	offer := gateway.Offer(c.CID) // none if 0
	switch {
	case c.CID != 0 && direction == zio.Extract:
		t.giver, err = offer.Give(ctx, bot)
	case c.CID != 0:
		t.taker, err = offer.Take(ctx, bot)
	case direction == zio.Extract:
		t.giver, err = gateway.Give(ctx, bot)
	default:
		t.taker, err = gateway.Take(ctx, bot)
	}
	if err != nil {
		return nil, errors.Join(err, gateway.Close())
	}
	return t, nil
}

func (t *grpcTransfer) limit() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), t.timeout)
}

func (t *grpcTransfer) give(payload []byte) error {
	ctx, cancel := t.limit()
	defer cancel()
	return t.giver.Put(ctx, zioflow.Dat{Payload: [][]byte{payload}})
}

func (t *grpcTransfer) take() (int, error) {
	ctx, cancel := t.limit()
	defer cancel()
	dat, err := t.taker.Next(ctx)
	size := 0
	for _, part := range dat.Payload {
		size += len(part)
	}
	return size, err
}

func (t *grpcTransfer) close() (err error) {
	ctx, cancel := t.limit()
	defer cancel()
	if t.giver != nil {
		err = t.giver.Close(ctx)
	} else {
		err = t.taker.Close(ctx)
	}
	return errors.Join(err, t.gateway.Close())
}
