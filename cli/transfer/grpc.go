package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/cli/exit"
	zioflow "github.com/zioflow/gateway/clients/go"
)

// maxMessage is the largest message to give and to take, in bytes: the gateway has a limit
// of its own, which is as large as its operator wants.
const maxMessage = 1 << 30

// grpcFlow is a flow over gRPC. One of giver and taker is set.
type grpcFlow struct {
	gateway *zioflow.Gateway
	giver   *zioflow.Giver
	taker   *zioflow.Taker
	timeout time.Duration
	until   context.Context
	closing func() bool // takes back that the giver is closed when until ends
}

// dial makes the connection to the gateway's gRPC, whose address it returns.
func (t *terms) dial() (_ *zioflow.Gateway, address string, err error) {
	named, err := t.named()
	if err != nil {
		return nil, "", err
	}
	if err := checkGRPC(named.Address); err != nil {
		return nil, "", exit.With(exit.Usage, err)
	}
	options, err := t.dialOptions(named)
	if err != nil {
		return nil, "", exit.With(exit.Usage, err)
	}
	gateway, err := zioflow.Dial(named.Address, append(options, zioflow.WithMaxMessage(maxMessage))...)
	return gateway, named.Address, exit.With(exit.Usage, err)
}

func (t *terms) openGRPC(ctx context.Context, cid uint64, direction zio.Direction, attributes map[string]any) (flow, error) {
	gateway, address, err := t.dial()
	if err != nil {
		return nil, err
	}
	f := &grpcFlow{gateway: gateway, timeout: t.Timeout, until: ctx}
	if err := f.open(t, address, cid, direction, attributes); err != nil {
		return nil, errors.Join(err, gateway.Close())
	}
	f.closing = context.AfterFunc(ctx, func() { _ = f.sayEnd() }) // which lets what is on its way go out
	return f, nil
}

// open opens the flow, for which it waits as long as for any message.
func (f *grpcFlow) open(t *terms, address string, cid uint64, direction zio.Direction, attributes map[string]any) (err error) {
	whole, cancel := context.WithCancelCause(context.Background()) // bounds the flow, not only its beginning
	unwatch := context.AfterFunc(f.until, func() { cancel(context.Cause(f.until)) })
	late := fmt.Errorf("%s: waiting for BOT: nothing has come within %v", address, f.timeout)
	timer := time.AfterFunc(f.timeout, func() { cancel(late) })
	defer func() {
		if !unwatch() || f.timeout > 0 && !timer.Stop() {
			err = context.Cause(whole)
		}
		if err != nil {
			cancel(nil)
		}
	}()
	if f.timeout <= 0 {
		timer.Stop()
	}
	bot := zioflow.Bot{Attributes: attributes, Credit: t.Credit}
	offer := f.gateway.Offer(cid) // none if 0
	switch {
	case cid != 0 && direction == zio.Extract:
		f.giver, err = offer.Give(whole, bot)
	case cid != 0:
		f.taker, err = offer.Take(whole, bot)
	case direction == zio.Extract:
		f.giver, err = f.gateway.Give(whole, bot)
	default:
		f.taker, err = f.gateway.Take(whole, bot)
	}
	return err
}

// limit is a context for one message.
func (f *grpcFlow) limit(parent context.Context) (context.Context, context.CancelFunc) {
	if f.timeout <= 0 {
		return context.WithCancel(parent)
	}
	return context.WithTimeoutCause(parent, f.timeout, fmt.Errorf("nothing has come within %v", f.timeout))
}

// give does not end with until while its message is on its way, which would break the flow:
// the giver is closed then, for which it waits no longer for credit.
func (f *grpcFlow) give(dat zioflow.Dat) error {
	ctx, cancel := f.limit(context.Background())
	defer cancel()
	if f.until.Err() != nil {
		return context.Cause(f.until)
	}
	err := f.giver.Put(ctx, dat)
	switch {
	case errors.Is(err, zioflow.ErrClosed) && f.until.Err() != nil:
		return context.Cause(f.until)
	case err != nil && errors.Is(err, context.Cause(ctx)):
		return fmt.Errorf("waiting for PAY: %w", err)
	}
	return err
}

func (f *grpcFlow) take() (zioflow.Dat, error) {
	ctx, cancel := f.limit(f.until)
	defer cancel()
	dat, err := f.taker.Next(ctx)
	switch {
	case errors.Is(err, zioflow.ErrClosed) && f.until.Err() != nil:
		return dat, context.Cause(f.until)
	case err != nil && errors.Is(err, context.Cause(ctx)) && f.until.Err() == nil:
		return dat, fmt.Errorf("waiting for DAT: %w", err)
	}
	return dat, err
}

func (f *grpcFlow) sayEnd() error {
	ctx, cancel := f.limit(context.Background())
	defer cancel()
	if f.giver != nil {
		return f.giver.Close(ctx)
	}
	return f.taker.Close(ctx)
}

func (f *grpcFlow) end() error {
	f.closing()
	return errors.Join(f.sayEnd(), f.gateway.Close())
}

func (f *grpcFlow) leave() {
	f.closing()
	_ = f.gateway.Close() // which aborts it
}
