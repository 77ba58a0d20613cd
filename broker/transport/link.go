// Package transport is what the broker asks of the transports that its peers come by.
package transport

import (
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/logs"
)

// Errors that Link.Deliver returns. Either ends the link's part in its flow.
var (
	// ErrGone: the peer is not there any more.
	ErrGone = errors.New("peer is gone")
	// ErrOverrun: the peer's outbox is full because it does not read.
	ErrOverrun = errors.New("peer does not read what it asked for")
)

// Link is the broker's handle on one peer's connection. Its methods, but Flush, are
// called for one flow at a time, with that flow locked: they neither block nor call
// back into the broker, nor write to a network.
type Link interface {
	// Deliver hands a message over. A link whose bound is reached still takes an
	// EOT: it says why nothing more comes. From the call on the message belongs to the
	// link, which releases it, whatever Deliver returns. Messages arrive in the
	// order of their deliveries.
	Deliver(Delivery) error
	// Flush writes what was delivered, as far as that can be done without waiting.
	// It is called after every delivery, or after several, by the goroutine that
	// delivered and with no lock held; by several at once at times.
	Flush()
	// Queued is how many of the messages delivered have not left yet, and the
	// bytes in them, by their Weight. A transport that cannot tell small messages may
	// leave them out.
	Queued() (messages, bytes int64)
	// Ended tells that the flow is over and nothing more of it will be
	// delivered, or that the peer's BOT was refused. A later BOT of the same
	// peer may begin another.
	Ended(flow.Reason, string)
}

// Gatherer is implemented by links that can write on a goroutine of their own. So what is
// delivered meanwhile, by who delivers one message after the other, is written at once.
type Gatherer interface {
	// FlushSoon is Flush that leaves the writing to that goroutine.
	FlushSoon()
}

// Mover is implemented by links that see how far a large message has come.
type Mover interface {
	// Moved is another number whenever bytes of messages were read, written, or taken
	// by the peer's system, in whole or in part. It may be called concurrently, and does
	// not wait.
	Moved() uint64
}

// Disconnector is implemented by links that can end their connection.
type Disconnector interface {
	// Disconnect ends the connection for an operator, with the reason that the log
	// has. It may be called concurrently, and does not wait.
	Disconnect(detail string)
}

// Describer is implemented by links that know more of their connection than
// PeerInfo has.
type Describer interface {
	// Describe may be called concurrently, and does not wait.
	Describe() LinkInfo
}

// LinkInfo is what a link knows of its connection at one moment. What it does not know
// is zero.
type LinkInfo struct {
	// Protocol is its version, such as "ZMTP 3.1", Mechanism how it is secured: "NULL"
	// or "none", "CURVE", "tls", "mtls". Key is the public key that the peer has proved
	// to have.
	Protocol, Mechanism, Key string
	// BytesIn and BytesOut are what was read and written.
	BytesIn, BytesOut uint64
	// QueuedMessages and QueuedBytes wait to be written.
	QueuedMessages, QueuedBytes int64
	// LastSeen is when the last byte came. Where it is zero BytesIn is not known either.
	LastSeen time.Time
}

// Departed is a Link that knows what has left for good. Such a taker's DATs count as
// crossed then, and not before.
type Departed interface {
	// Departed is the DATs that have left, with their payload, of all flows that the link
	// has had; what the peer takes as it comes counts before it has been written. It may be
	// called concurrently with all else.
	Departed() Count
}

// Fits tells whether a link that holds n messages, and should hold no more than
// limit, takes one more of type t.
func Fits(n, limit int, t zio.Type) bool {
	if t == zio.EOT {
		limit *= 2
	}
	return n < limit
}

// FlowID is a flow's number, by which operators know it; never used twice while
// the broker lives.
type FlowID uint64

// Count counts messages and their payload bytes.
type Count struct{ Messages, Bytes uint64 }

// Delivery is a message on its way to a peer, with what the broker knows of it.
type Delivery struct {
	Message *zio.Message
	Type    zio.Type
	// Size and Weight are the Message's, so that nobody need reckon them again.
	Size, Weight int64
	// Flow is 0 where the message belongs to none: a refused BOT.
	Flow FlowID
	// Credit is, in a BOT, the flow's total; in a PAY, what it pays.
	Credit int64
	// Reason is, in an EOT, why the flow ended; NotEnded while the receiver's
	// own EOT is still awaited.
	Reason flow.Reason
	// Detail says the reason's cause in words.
	Detail string
}

// Weighed is the delivery with its Size and Weight set.
func (d Delivery) Weighed() Delivery {
	size := d.Message.Size()
	d.Size, d.Weight = int64(size), int64(size+d.Message.Burden())
	return d
}

// PeerInfo is who is at the other end of a link.
type PeerInfo struct {
	// Transport is "zmq-server", "zmq-router", "grpc", "builtin" for whatever handles flows
	// inside the gateway, or "zmq-client": a handler that the gateway connects to.
	Transport string
	// Address is where the peer is, as far as its transport knows.
	Address string
	// Identity is the name that the peer has shown, if any. It proves nothing.
	Identity string
	// Agent is the program that the peer says it is, if any. It proves nothing.
	Agent string
	// Name is who the peer has proved to be, by key, certificate or token; empty
	// where no proof was asked for.
	Name string
	// Node is the node of a cluster to which the peer is connected, and which has asked it
	// for that proof; empty for this one.
	Node string
}

// String is the peer as it stands in logs.
func (p PeerInfo) String() string {
	words := make([]string, 0, 3)
	for _, word := range []string{p.Transport, p.Name, p.Identity, p.Address} {
		if word != "" {
			words = append(words, word)
		}
	}
	if p.Node != "" {
		words = append(words, "at "+p.Node)
	}
	return strings.Join(words, " ")
}

// LogValue implements slog.LogValuer.
func (p PeerInfo) LogValue() slog.Value { return slog.StringValue(p.String()) }

// Who is the peer as the log is sampled.
func (p PeerInfo) Who() logs.Peer { return logs.Of(p.Name, p.Address) }

// Principal is on whose behalf work is done for a peer: for all that have proved to be of
// a name, or for each connection.
func (p PeerInfo) Principal() string {
	if p.Name != "" {
		return "name " + p.Name
	}
	return p.Transport + " " + p.Address + " " + p.Identity
}
