package zmqbridge

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/zmtp"
)

// hub is what all endpoints of a bridge share.
type hub struct {
	broker  *broker.Broker
	sampler *logs.Sampler
	curve   atomic.Pointer[zmtp.Config] // the key in use; nil without CURVE
	lastID  atomic.Uint64               // of a connection
	panics  atomic.Uint64               // that have ended one
}

// site is what the connections of an endpoint know of it.
type site struct {
	hub     *hub
	options Options
	kind    zmtp.SocketType // Server or Router
	front   string          // how operators call it
	stats   endpointStats

	stopped chan struct{}
	running sync.WaitGroup // all goroutines but those that accept
}

// single tells whether messages have one part: those of CLIENTs.
func (s *site) single() bool { return s.kind == zmtp.Server }

// line writes a line about what happens at an endpoint, by nobody in particular.
func (s *site) line(level slog.Level, kind, message string, attributes ...any) {
	attributes = append([]any{"endpoint", s.front}, attributes...)
	s.hub.sampler.Log(context.Background(), level, "zmq "+kind, logs.Peer{}, message, attributes...)
}
