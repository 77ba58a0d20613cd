package conns

import (
	"context"
	"log/slog"

	"github.com/zioflow/gateway/internal/text"
)

// cause is why gRPC cuts a connection, or resets a call before anybody has seen it.
type cause struct {
	word, detail string
	level        slog.Level
}

// The causes.
var (
	tooManyPings = cause{"too_many_pings", "the peer asks more often whether the gateway is there than every 5 s (its keepalive time)", slog.LevelWarn}
	tooOld       = cause{"too_old", "calls were still on it when it had been told to go (--max-connection-age) and its grace was over (--max-connection-age-grace)", slog.LevelInfo}
	tooLarge     = cause{"headers_too_large", "a call came with more headers than gRPC reads, so all calls of the connection end", slog.LevelWarn}
	callHeaders  = cause{"call_headers_too_large", "a call came with more headers than gRPC reads, and was reset; the connection goes on", slog.LevelWarn}
	keepalive    = cause{"keepalive", "the peer did not answer in time when asked whether it is there (--keepalive, --keepalive-timeout)", slog.LevelInfo}
	malformed    = cause{"malformed", "what the peer sent is no HTTP/2 as gRPC speaks it", slog.LevelWarn}
)

// Causes are the words for why connections are cut.
func Causes() []string {
	words := make([]string, 0, 6)
	for _, c := range []cause{tooManyPings, tooOld, tooLarge, callHeaders, keepalive, malformed} {
		words = append(words, c.word)
	}
	return words
}

// with is the cause with words that say more.
func (c cause) with(words string) cause {
	if words != "" {
		c.detail += ": " + text.Name(words)
	}
	return c
}

// cut says why.
func (c *Conn) cut(why cause) {
	if why != callHeaders && c.explained.Swap(true) {
		return
	}
	t := c.table
	t.options.Cut(why.word)
	peer, words := c.who(), "connection cut"
	if why == callHeaders {
		words = "call reset"
	}
	t.options.Log.Log(context.Background(), why.level, "connection_cut", peer.Who(), words,
		"endpoint", "grpc", "peer", peer, "agent", peer.Agent, "cause", why.word, "detail", why.detail)
}
