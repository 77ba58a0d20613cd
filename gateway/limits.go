package gateway

import (
	"fmt"
	"log/slog"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/gateway/config"
	"github.com/zioflow/gateway/gateway/reload"
)

// reloadLimits changes the broker's limits. The fronts were made for the largest
// credit and message that the gateway was started with. The options are the broker's for
// a configuration.
func reloadLimits(b *broker.Broker, started *config.Config, options func(*config.Config) broker.Options) reload.Part {
	return func(next *config.Config) (func() []string, error) {
		for _, bound := range []struct {
			option   string
			most, is int64
		}{
			{"max-credit", started.Limits.MaxCredit, next.Limits.MaxCredit},
			{"max-message", int64(started.Limits.MaxMessage), int64(next.Limits.MaxMessage)},
		} {
			if bound.is > bound.most {
				return nil, fmt.Errorf("%s: %d is more than the %d with which the gateway was started: that needs a restart",
					bound.option, bound.is, bound.most)
			}
		}
		limits := options(next)
		if err := limits.Validate(); err != nil {
			return nil, err
		}
		return func() []string {
			_ = b.SetLimits(limits) // they are valid
			return nil
		}, nil
	}
}

// reloadLog changes what is logged.
func reloadLog(level *slog.LevelVar) reload.Part {
	return func(next *config.Config) (func() []string, error) {
		return func() []string {
			level.Set(next.LogLevel)
			return nil
		}, nil
	}
}
