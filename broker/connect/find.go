package connect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/routing"
)

// leastWait is how long a handler is tried where flows do not wait for one.
const leastWait = 50 * time.Millisecond

// Find implements routing.Factory: it connects, has the handler asked by the client's BOT,
// and accepts the flow if the handler does.
func (f *Factory) Find(ctx context.Context, r *routing.Request) error {
	full := func() {
		r.IfLate(flow.Overloaded, fmt.Sprintf("the handler of route %s has as many flows as it takes", f.route))
	}
	if !f.connector.slots.Acquire(ctx, f.route, f.target.MaxFlows, full) {
		return nil
	}
	h, err := f.reach(ctx, r)
	if err == nil {
		if err = h.ask(ctx, r); err == nil {
			f.connector.flows.Go(func() {
				defer f.connector.slots.Release(f.route)
				h.serve()
			})
			return nil
		}
		h.abandon(err)
	}
	f.connector.slots.Release(f.route)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// reach connects to the handler. While nobody is there it waits as long as a flow waits
// for any handler, and follows a node that comes or moves meanwhile.
func (f *Factory) reach(ctx context.Context, r *routing.Request) (*handler, error) {
	wait := f.connector.options.Broker.Options().HandlerWait
	none := func(why string) *flow.Error {
		return &flow.Error{Reason: flow.NoHandler, Detail: fmt.Sprintf("the handler of route %s is not there: %s", f.route, why)}
	}
	limited, cancel := context.WithTimeout(ctx, max(wait, leastWait))
	defer cancel()
	for why := ""; ; {
		address, found, changed := f.locate()
		if !found {
			why = f.target.String() + " is not to be seen"
			r.IfLate(flow.NoHandler, none(why).Detail)
			if wait == 0 {
				return nil, none(why)
			}
			select {
			case <-changed:
				continue
			case <-limited.Done():
				return nil, none(why)
			}
		}
		r.IfLate(flow.NoHandler, none(address+" can't be reached").Detail)
		h, err := f.connect(limited, address, changed, wait == 0)
		switch {
		case err == nil:
			return h, nil
		case errors.Is(err, errMoved):
			continue
		default:
			return nil, none(err.Error())
		}
	}
}

// errMoved: a node is elsewhere now.
var errMoved = errors.New("the node has moved")

// locate is where the handler is now.
func (f *Factory) locate() (address string, found bool, changed <-chan struct{}) {
	if f.target.Address != "" {
		return f.target.Address, true, nil
	}
	return f.connector.options.Directory.Lookup(f.target.Node, f.target.Port)
}

// connect connects to an address while the context lasts, or once.
func (f *Factory) connect(ctx context.Context, address string, changed <-chan struct{}, once bool) (*handler, error) {
	here, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go f.watch(here, cancel, address, changed)
	o := f.connector.options
	conn, err := o.Dialer.Dial(here, address, DialOptions{
		ServerKey: f.target.ServerKey, MaxMessage: o.Broker.Options().MaxMessage, Patient: !once,
	})
	switch {
	case err == nil:
		return newHandler(f, conn, address), nil
	case errors.Is(context.Cause(here), errMoved):
		return nil, errMoved
	default:
		return nil, err
	}
}

// watch gives up an address when the node is there no more, until the context ends.
func (f *Factory) watch(ctx context.Context, cancel context.CancelCauseFunc, address string, changed <-chan struct{}) {
	for {
		select {
		case <-changed: // of any node
		case <-ctx.Done():
			return
		}
		now, found, next := f.locate()
		if !found || now != address {
			cancel(errMoved)
			return
		}
		changed = next
	}
}
