package broker

import (
	"context"
	"log/slog"

	"github.com/zioflow/gateway/broker/transport"
)

// Kinds of lines that peers cause, as the log is sampled.
const (
	lineRefused = "bot_refused"
	lineDenied  = "bot_denied"
)

// say logs something that the peer has caused, unless it has caused too much.
func (b *Broker) say(level slog.Level, kind string, peer transport.PeerInfo, message string, arguments ...any) {
	b.host.Lines.Log(context.Background(), level, kind, peer.Who(), message, arguments...)
}
