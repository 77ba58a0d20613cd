package zre

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/zioflow/gateway/zmqbridge/dial"
	"github.com/zioflow/gateway/zmtp"
	"github.com/zioflow/gateway/zre/peers"
	"github.com/zioflow/gateway/zre/wire"
)

// outward is a connection to a peer's inbox. There is never anything for long in its
// room: a peer that takes nothing loses the connection.
type outward struct {
	stop context.CancelFunc
	room chan []byte
}

// outwardRoom is how many messages may wait for the connection, besides those that it
// has taken.
const outwardRoom = 16

// dialOptions are those of the connections that bound what a peer can have held here.
func (n *Node) dialOptions(to netip.AddrPort) dial.Options {
	o := dial.DefaultOptions("tcp://"+to.String(), zmtp.Dealer)
	o.Identity = identityHead + string(n.uuid[:])
	o.FirstRetry, o.LastRetry = time.Hour, time.Hour // a new connection is for the machine to make
	o.Heartbeat = 0                                  // ZRE has its own
	o.Stall = n.options.Peers.Expire
	o.MaxMessage, o.MaxParts = wire.MaxMessage, 16 // an inbox sends nothing
	o.Incoming = dial.Limit{Messages: 1, Bytes: wire.MaxMessage}
	o.Outgoing = dial.Limit{Messages: 64, Bytes: 8 * wire.MaxMessage}
	return o
}

// reach begins to connect. It is called by the loop, as hang and send are.
func (n *Node) reach(out peers.Out, to netip.AddrPort) {
	ctx, stop := context.WithCancel(n.ctx)
	o := &outward{stop, make(chan []byte, outwardRoom)}
	n.outs[out] = o
	n.running.Go(func() {
		defer n.tell(peers.Closed{Out: out})
		defer stop()
		defer n.recover("a connection to a node has ended")
		n.converse(ctx, out, to, o)
	})
}

// converse connects, and sends what is to be sent until that is over.
func (n *Node) converse(ctx context.Context, out peers.Out, to netip.AddrPort, o *outward) {
	broken := make(chan struct{})
	var once sync.Once
	options := n.dialOptions(to)
	options.Notify = func(e dial.Event) {
		if e.State == dial.Broken {
			once.Do(func() { close(broken) })
		}
	}
	conn, err := dial.Dial(ctx, options)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close(0) }()
	if !n.tell(peers.Connected{Out: out}) {
		return
	}
	for {
		select {
		case message := <-o.room:
			if conn.SendParts(ctx, message) != nil {
				return
			}
		case <-broken:
			return
		case <-ctx.Done():
			return
		}
	}
}

// send has a message sent.
func (n *Node) send(out peers.Out, m *wire.Message) {
	o := n.outs[out]
	if o == nil {
		return
	}
	select {
	case o.room <- m.Append(nil):
	default: // it takes nothing: the messages after would be missing one
		n.hang(out)
		n.later = append(n.later, peers.Closed{Out: out})
	}
}

// hang ends a connection.
func (n *Node) hang(out peers.Out) {
	if o := n.outs[out]; o != nil {
		o.stop()
		delete(n.outs, out)
	}
}
