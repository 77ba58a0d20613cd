// Package reach connects to the handlers of connect routes: to the SERVER sockets that
// they bind, as a CLIENT.
package reach

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/broker/connect"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmqbridge/dial"
	"github.com/zioflow/gateway/zmtp"
)

const (
	// firstRetry and lastRetry are how soon a handler that cannot be reached is tried
	// again, while a flow waits for it.
	firstRetry = 50 * time.Millisecond
	lastRetry  = 500 * time.Millisecond

	// maxQueued is how much waits in a connection, in messages and bytes, besides what the
	// broker holds and counts: enough that it never runs dry.
	maxQueued      = 64
	maxQueuedBytes = 1 << 20

	// messageOverhead is what a message of the largest payload may have besides it and its
	// label: the lengths of its parts, and coord.
	messageOverhead = 6*zio.MaxParts + 1<<10
)

// Dialer implements connect.Dialer. With CURVE all its connections show one key, which is
// made when it is needed first. The zero value is ready.
type Dialer struct {
	once           sync.Once
	public, secret access.CurveKey
}

// Check implements connect.Dialer.
func (d *Dialer) Check(t connect.Target) error {
	if t.Address != "" {
		if err := dial.CheckAddress(t.Address); err != nil {
			return routing.WrongField("address", "%s: %w", t.Address, err)
		}
	}
	if _, err := d.keys(t.ServerKey); err != nil {
		return routing.WrongField("server_key", "%w", err)
	}
	return nil
}

// keys are those for a handler with that public key; nil for NULL.
func (d *Dialer) keys(server string) (*zmtp.CurveKeys, error) {
	if server == "" {
		return nil, nil
	}
	key, err := access.ParseCurveKey(server)
	if err != nil {
		return nil, err
	}
	d.once.Do(func() { d.public, d.secret = access.NewCurveKeys() })
	return &zmtp.CurveKeys{Server: key, Public: d.public, Secret: d.secret}, nil
}

// Dial implements connect.Dialer.
func (d *Dialer) Dial(ctx context.Context, address string, o connect.DialOptions) (connect.Conn, error) {
	options := dial.DefaultOptions(address, zmtp.Client)
	var err error
	if options.Curve, err = d.keys(o.ServerKey); err != nil {
		return nil, err
	}
	options.FirstRetry, options.LastRetry = firstRetry, lastRetry
	options.MaxMessage = o.MaxMessage + zio.MaxLabel + messageOverhead
	options.Incoming = dial.Limit{Messages: maxQueued, Bytes: maxQueuedBytes}
	options.Outgoing = options.Incoming
	var c *dial.Conn
	if !o.Patient {
		c, err = dial.Dial(ctx, options)
	} else if c, err = dial.New(options); err == nil {
		if err = c.Next(ctx); err != nil {
			_ = c.Close(0) // nothing was sent
		}
	}
	if err != nil {
		return nil, inWords(err)
	}
	return &conn{c, o.ServerKey != ""}, nil
}

// inWords is an error without the context's, if the connection has one of its own.
func inWords(err error) error {
	if failed, ok := errors.AsType[*dial.Error](err); ok {
		return failed
	}
	return err
}

// conn implements connect.Conn.
type conn struct {
	*dial.Conn
	curve bool
}

// Receive implements connect.Conn.
func (c *conn) Receive(ctx context.Context) (*zio.Message, error) {
	m, err := c.Conn.Receive(ctx)
	if failed, ok := errors.AsType[*dial.Error](err); ok {
		if failed.Cause == dial.TooLarge {
			return nil, fmt.Errorf("%w: %s", connect.ErrTooLarge, failed.Detail)
		}
		return nil, failed
	}
	return m, err
}

// Stats implements connect.Conn.
func (c *conn) Stats() connect.Stats {
	s := c.Conn.Stats()
	stats := connect.Stats{Protocol: "ZMTP", Mechanism: "NULL", BytesIn: s.BytesIn, BytesOut: s.BytesOut, LastSeen: s.LastSeen}
	if peer, known := c.Peer(); known {
		stats.Protocol = fmt.Sprintf("ZMTP %d.%d", peer.Major, peer.Minor)
	}
	if c.curve {
		stats.Mechanism = "CURVE"
	}
	return stats
}
