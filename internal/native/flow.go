//go:build cgo

package native

import (
	"context"
	"errors"
	"time"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/flowclient"
)

// Flow is one side of a flow.
type Flow = flowclient.Flow

// EndError is an EOT that came too early.
type EndError = flowclient.EndError

// ErrTimeout is what Receive returns when no message came, and Send when there is
// no connection.
var ErrTimeout = flowclient.ErrTimeout

// Open sends a BOT with that label and payload, and waits for the answer.
func Open(p *Peer, origin uint64, label []byte, payload [][]byte, timeout time.Duration) (*Flow, error) {
	return flowclient.Open(conn{p}, origin, label, payload, timeout)
}

// conn is a peer as flows use it. Of a context it knows the deadline only; to wait
// for a connection it takes as long as the peer does.
type conn struct{ peer *Peer }

// Send implements flowclient.Conn.
func (c conn) Send(_ context.Context, m *zio.Message) error { return c.peer.Send(m) }

// Receive implements flowclient.Conn.
func (c conn) Receive(ctx context.Context) (*zio.Message, error) {
	wait := time.Duration(-1)
	if ctx.Err() != nil {
		wait = 0
	} else if deadline, ok := ctx.Deadline(); ok {
		wait = max(0, time.Until(deadline))
	}
	m, err := c.peer.Receive(wait)
	if errors.Is(err, ErrTimeout) && ctx.Err() != nil {
		err = ctx.Err()
	}
	return m, err
}
