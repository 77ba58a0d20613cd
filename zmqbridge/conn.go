package zmqbridge

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/budget"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/zmqbridge/transit"
	"github.com/zioflow/gateway/zmtp"
)

// members are the connections of an endpoint, of which it serves so many.
type members interface {
	// takeSlot takes one of the slots for established connections, unless all are taken.
	takeSlot(*conn) bool
	// claim gives a connection the name that its peer wants, if it wants one.
	claim(*conn) error
	// established takes note that a handshake has succeeded, begins tells whether it is
	// under way, and crowded whether many are.
	established(*conn)
	begins(*conn) bool
	crowded() bool
	// remove takes out a connection that is closed.
	remove(*conn)
}

// conn is one connection. Its goroutine takes the handshake, reads, and has the
// broker see what it has read; whoever delivers to it writes (outbox).
type conn struct {
	site    *site
	members members // of the endpoint
	id      uint64  // unlike all others of the process
	address string  // of the peer, without port; set before the handshake
	local   bool    // came to an address without CURVE
	hasSlot bool    // guarded by the endpoint; has a slot of those that are established
	opened  time.Time

	// Set by the handshake.
	zmtp      *zmtp.Peer
	session   *zmtp.Session     // nil without CURVE
	principal *access.Principal // nil where nobody is asked
	peer      *broker.Peer
	account   *budget.Account
	output    *budget.Account

	in  reader
	out outbox

	vitals
	ender
	finalSent bool // the peer was sent why the connection ends; its goroutine's
	unsent    int  // as was seen last of what the system holds; the supervisor's
	transit   transit.Meter
}

// hostOf is where an address is, without port.
func hostOf(a net.Addr) string {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().String()
	}
	return ""
}

// log writes a line about the peer, of which there may be many.
func (c *conn) log(level slog.Level, kind, message string, attributes ...any) {
	name := ""
	if c.principal != nil {
		name = c.principal.Name()
	}
	attributes = append([]any{"endpoint", c.site.front, "address", c.address, "connection", c.id}, attributes...)
	c.site.hub.sampler.Log(context.Background(), level, "zmq "+kind, logs.Of(name, c.address), message, attributes...)
}

// info is how the broker knows the peer.
func (c *conn) info() transport.PeerInfo {
	info := transport.PeerInfo{Transport: c.site.front, Identity: identityText(c.zmtp.Identity), Address: c.address}
	switch {
	case info.Identity != "":
	case c.site.single():
		info.Identity = strconv.FormatUint(c.id, 10)
	default: // what a ROUTER calls a nameless peer: a zero byte and a number
		info.Identity = fmt.Sprintf("%010x", c.id&0xffffffff)
	}
	if c.principal != nil {
		info.Name = c.principal.Name()
	}
	return info
}

// refuseEntry tells access of a peer that is not let in.
func (c *conn) refuseEntry(d *access.Denial) {
	if c.site.options.Access != nil {
		c.site.options.Access.Deny(c.site.front, c.address, d)
	}
}

// identityText is an identity as people write it: in hex unless it is readable.
func identityText(identity string) string {
	for i := range len(identity) {
		if b := identity[i]; b < ' ' || b > '~' {
			return fmt.Sprintf("%x", identity)
		}
	}
	return identity
}

// describe implements transport.Describer for the outbox.
func (c *conn) describe() transport.LinkInfo {
	messages, bytes := c.out.Queued()
	info := transport.LinkInfo{
		Protocol:  fmt.Sprintf("ZMTP %d.%d", c.zmtp.Major, c.zmtp.Minor),
		Mechanism: string(c.zmtp.Mechanism),
		BytesIn:   c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		QueuedMessages: messages, QueuedBytes: bytes,
		LastSeen: time.Unix(0, c.lastSeen.Load()),
	}
	if c.zmtp.Mechanism == zmtp.Curve {
		info.Key = access.CurveKey(c.zmtp.Key).String()
	}
	return info
}
