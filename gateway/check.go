package gateway

import (
	"context"
	"errors"
	"log/slog"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/gateway/guard"
	"github.com/zioflow/gateway/zre/nodes"
)

// Check says what is wrong with a configuration: with its values, its routes, and the
// files that it names, all of which it reads. It binds no address and starts nothing. Each
// error names an option. That Check finds nothing does not mean that New succeeds: an
// address may be somebody else's.
func Check(c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	b, err := broker.New(c.BrokerLimits())
	if err != nil {
		return err
	}
	h, err := newHandlers(b, &c, nodes.NewTable(), slog.New(slog.DiscardHandler))
	if err == nil {
		_, err = h.make(&c)
	}
	b.Close(flow.Draining, "the configuration was checked")
	if h != nil {
		err = errors.Join(err, h.close(context.Background()))
	}
	return errors.Join(guard.Check(&c), err)
}
